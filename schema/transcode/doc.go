// Package transcode turns protobuf wire bytes into JSON and back, by a plan that is compiled once for each message
// type. It makes no message objects, so a call costs a tenth of what dynamicpb with protojson costs, and it speaks
// two dialects of JSON:
//
//   - [ProtoJSON] is the canonical JSON of protobuf (https://protobuf.dev/programming-guides/json/), for messages of
//     foreign services: 64-bit integers are strings, enums are names, the well-known types have their own forms. It
//     reads what protojson reads: numbers as strings or as numbers, properties by JSON name or by field name.
//   - [ToolJSON] is the plain JSON of a tool's arguments and results, for messages that were made from a JSON
//     Schema: integers of all sizes are numbers, json_name is the property's own name, unknown properties are left
//     out.
//
// How it is used:
//
//	c := transcode.NewCompiler(transcode.Options{Dialect: transcode.ProtoJSON, Files: files})
//	in, out := c.Plan(method.Input()), c.Plan(method.Output()) // once for each snapshot
//	wire, err := in.AppendWire(nil, arguments)                  // for each call
//	json, err := out.AppendJSON(nil, answer)
//
// All kinds of proto2, proto3 and the editions are known: groups and delimited fields, packed and unpacked lists,
// maps with any key, oneofs, open and closed enums, extensions (as "[full.name]"), and the well-known types with
// Any, whose types are looked up in the files that the compiler was given.
//
// Where this differs from protojson:
//
//   - An Any of an unknown type is {"@type": …, "value": <its bytes in base64>} instead of an error.
//   - A Value without a kind is null instead of an error, and an enum that is closed shows numbers that it does not
//     name instead of hiding them.
//   - What a later value of the same field replaces is not looked into, beyond its length.
//   - Whether a required field of proto2 is there is not checked: that is the JSON Schema's work.
//   - MessageSet is not known.
//
// Wire that a writer in its right mind would not produce, such as a singular field that comes twice, means what it
// means to any protobuf library; it only costs a second pass.
//
// The input may be anything: depth and output are bounded, JSON is read strictly, and UTF-8 is checked both ways.
package transcode
