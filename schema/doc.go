// Package schema is the type language of the gateway: JSON Schema (draft 2020-12 unless a schema names
// another draft) for what a value must look like, and strict JSON for what counts as a value at all.
//
// [Compile] turns a schema into a [Schema] that any number of goroutines may validate with, [For] infers a
// schema from a Go type, and [Check] is the gate that every JSON text from outside passes first.
//
// A library resolves references and drafts; the walk over the value is the package's own, because it has to be
// exact with numbers of any size and bounded in the work that a schema and a value together can cause.
// docs/adr/0002-json-schema-library.md tells why.
//
// The package never opens a file or a connection: a schema that refers to another document does not compile,
// with the exception of the published meta-schemas, which are built in.
//
// It does not apply defaults and does not coerce types. "format" and the content keywords are annotations in
// every draft: they refuse nothing.
package schema
