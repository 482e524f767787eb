// Package upstream makes a source of a GraphQL server.
//
//	schema ─ introspection or SDL ─┬─ root fields ─ bounded selections ─┐
//	                               └─ named documents ──────────────────┴▶ tools
//	call ─▶ {query, variables} ─▶ HTTP, WebSocket or SSE ─▶ {data, errors} ─▶ result
//
// Each field of Query and Mutation becomes a tool whose selection is generated
// once, within bounds; or each named operation of a folder of documents does.
// Arguments travel as they are, as the variables of the operation, and what the
// server answers as data is the structured content of the result. A field of
// Subscription becomes a tool that reports its events as progress and returns
// them together in the end, because a call of a tool has one.
//
// The grammar is that of the GraphQL specification of September 2025; requests
// follow GraphQL over HTTP, subscriptions graphql-transport-ws or the distinct
// connections mode of GraphQL over SSE.
//
// What it is not: a GraphQL server (package graphql is), a federation gateway,
// or a planner. It sends one operation for each call and joins nothing.
package upstream
