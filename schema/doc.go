// Package schema is the type language of the gateway: JSON Schema (draft 2020-12 unless a schema names
// another draft) for what a value must look like, and strict JSON for what counts as a value at all.
//
// [Compile] turns a schema into a [Schema] that any number of goroutines may validate with, [For] infers a
// schema from a Go type, and [Check] is the gate that every JSON text from outside passes first.
//
// The package never opens a file or a connection: a schema that refers to another document does not compile,
// with the exception of the published meta-schemas, which are built in.
//
// It does not apply defaults, does not coerce types, and does not enforce "format" except where the draft
// that a schema names says so (draft-07 and older).
package schema
