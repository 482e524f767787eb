// Package openapi makes a source of a service that speaks HTTP: of its OpenAPI
// document (3.0, 3.1), or of calls that the configuration spells out.
//
//	document ─ read ─ operations ─ plans ─┐
//	                      └─ definitions  │
//	call ─ arguments ─────────────────── plan ─ request ─ egress.Client ─ response ─ result
//
// [Upstream] reads the document, again when it changes, and offers an operation
// as a tool and, where it is asked to, as a resource. Everything that can be
// known of an operation is worked out when the document is read: a call takes its
// arguments as they are, raw JSON, and writes them where the plan says.
//
// Documents are not trusted. They are bounded in bytes, depth and operations;
// references lead nowhere but into the document itself; servers that it names on
// other origins are not called. What cannot be offered as the document has it is
// noted ([gateway.Note]), and never ends more than the operation that it concerns.
//
// What it is not: it validates no response, and knows Swagger 2.0 only well
// enough to refuse it.
package openapi
