import { graphql, type ResultOf } from '../../lib/graphql';

/** The kinds of capabilities, as paths of the console name them. */
export const kinds = ['tool', 'resource', 'template', 'prompt'] as const;
export type Kind = (typeof kinds)[number];

export const titles: Record<Kind, string> = {
  tool: 'Tools',
  resource: 'Resources',
  template: 'Templates',
  prompt: 'Prompts',
};

/** The page of a capability, by its kind and its name, URI or URI template. */
export const pathOf = (kind: Kind, id: string) =>
  `/capabilities/${kind}/${encodeURIComponent(id.replace(/\p{Surrogate}/gu, '\ufffd'))}`;

const head = graphql(`
  fragment Head on Capability @_unmask {
    name title description source tags object
  }
`);

export const toolList = graphql(
  `query Tools($after: String, $filter: ToolFilter) {
    page: tools(first: 100, after: $after, filter: $filter) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id: name ...Head readOnly destructive }
    }
  }`,
  [head],
);
export const resourceList = graphql(
  `query Resources($after: String, $filter: CapabilityFilter) {
    page: resources(first: 100, after: $after, filter: $filter) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id: uri ...Head }
    }
  }`,
  [head],
);
export const templateList = graphql(
  `query Templates($after: String, $filter: CapabilityFilter) {
    page: resourceTemplates(first: 100, after: $after, filter: $filter) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id: uriTemplate uriTemplate ...Head mimeType definition }
    }
  }`,
  [head],
);
export const promptList = graphql(
  `query Prompts($after: String, $filter: CapabilityFilter) {
    page: prompts(first: 100, after: $after, filter: $filter) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id: name ...Head }
    }
  }`,
  [head],
);
export const lists = { tool: toolList, resource: resourceList, template: templateList, prompt: promptList };

export const countQuery = graphql(`
  query Counts($tools: ToolFilter, $filter: CapabilityFilter) {
    tool: tools(first: 0, filter: $tools) { totalCount }
    resource: resources(first: 0, filter: $filter) { totalCount }
    template: resourceTemplates(first: 0, filter: $filter) { totalCount }
    prompt: prompts(first: 0, filter: $filter) { totalCount }
  }
`);

/** Where gRPC is, which need not be where the page comes from. */
export const doorsQuery = graphql(`query Doors { doors { grpc } }`);

export const toolsetQuery = graphql(`query Toolsets { toolsets { name description } }`);

export const toolQuery = graphql(
  `query Tool($id: String!) {
    one: tool(name: $id) {
      id: name ...Head definition inputSchema outputSchema readOnly destructive idempotent openWorld
    }
  }`,
  [head],
);
export const resourceQuery = graphql(
  `query Resource($id: String!) { one: resource(uri: $id) { id: uri ...Head definition mimeType size } }`,
  [head],
);
export const promptQuery = graphql(
  `query Prompt($id: String!) {
    one: prompt(name: $id) { id: name ...Head definition arguments { name title description required } }
  }`,
  [head],
);

export type Tool = NonNullable<ResultOf<typeof toolQuery>['one']>;
export type Resource = NonNullable<ResultOf<typeof resourceQuery>['one']>;
export type Prompt = NonNullable<ResultOf<typeof promptQuery>['one']>;
export type Template = ResultOf<typeof templateList>['page']['nodes'][number];
/** What is shown of every capability. */
export type Any = Pick<Tool, 'id' | 'name' | 'title' | 'description' | 'source' | 'tags' | 'object' | 'definition'>;

export const changes = graphql(`subscription Changes { capabilitiesChanged { tools resources prompts } }`);

export const callEvents = graphql(`
  subscription Call($name: String!, $arguments: JSON) {
    toolCall(name: $name, arguments: $arguments) {
      __typename
      dropped
      ... on ToolProgress { progress total message }
      ... on ToolLog { level logger data }
      ... on ToolQuestion { id kind asks: message schema url }
      ... on ToolFinished {
        result { isError structured content { type text data mimeType uri raw } }
      }
    }
  }
`);
export type CallEvent = ResultOf<typeof callEvents>['toolCall'];
export type Question = Extract<CallEvent, { __typename: 'ToolQuestion' }>;
export type Result = Extract<CallEvent, { __typename: 'ToolFinished' }>['result'];
export type Block = Result['content'][number];

export const answerMutation = graphql(`
  mutation Answer($id: ID!, $action: String!, $content: JSON) { answerQuestion(id: $id, action: $action, content: $content) }
`);

export const readQuery = graphql(`
  query Read($uri: String!) { readResource(uri: $uri) { contents { uri mimeType text blob } } }
`);
export const getQuery = graphql(`
  query Get($name: String!, $arguments: JSON) {
    getPrompt(name: $name, arguments: $arguments) {
      description messages { role content { type text data mimeType uri raw } }
    }
  }
`);
export const completeQuery = graphql(`
  query Complete($ref: CompletionRef!, $argument: String!, $value: String!, $known: JSON) {
    complete(ref: $ref, argument: $argument, value: $value, known: $known) { values }
  }
`);

export const granteeQuery = graphql(`
  query Grantees($object: String!) {
    admin { grantees(object: $object) { truncated nodes { subject tenant rule line conditional path } } }
  }
`);
export const lastCallQuery = graphql(`
  query LastCalls($object: String!) { admin { auditRecords(first: 10, filter: { object: $object, type: "call" }) { nodes } } }
`);
export const pinQuery = graphql(`
  query PinState($id: ID!) { admin { pin(id: $id) { id state served since decidedBy decided hidden } } }
`);
