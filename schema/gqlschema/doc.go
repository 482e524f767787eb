// Package gqlschema types tools in GraphQL: it compiles a tool's JSON Schemas to GraphQL types, makes a call's arguments
// of the values that a caller wrote, and answers a selection from the JSON that the tool returned.
//
// A GraphQL type is a projection. The tool's JSON Schema stays the authority on what its arguments must be; what GraphQL
// cannot say becomes the scalar JSON, never an error, and is noted for the operator.
//
//	Tool ──[Compile]──▶ *Plan: a field, its types, and how values cross over
//	                      ├─[Plan.Arguments]─▶ the arguments, as JSON text
//	                      └─[Plan.Result]────▶ the part of a result that was selected, as JSON text
//
// Values stay text on the way: numbers keep their digits and nothing is decoded that is not asked for.
//
// [Assign] gives names that are unique over all tools. A plan depends on its tool and on these names alone, so it can be
// kept for as long as the tool's definition stays. Plans are immutable and safe for concurrent use.
//
// The package knows neither the registry nor a transport. It never executes an operation.
package gqlschema
