declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  /** Renders an OpenAPI document; the options are those of Swagger UI's configuration. */
  export default function SwaggerUI(options: Record<string, unknown>): unknown;
}
