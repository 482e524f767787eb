package grpc

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// Notes returns what of a source's tools and prompts the typed gRPC methods and
// the documents of OpenAPI do not show as it is, for the operator.
func (f *Frontend) Notes(source string) []gateway.Note {
	var out []gateway.Note
	if f.options.Registry != nil {
		now := f.types.Load()
		if why := now.problems[source]; why != "" {
			out = append(out, gateway.Note{Subject: "grpc: the typed service", Change: gateway.NoteSkipped, Reason: why})
		}
		if s := now.sources[source]; s != nil {
			for _, n := range s.module.Notes {
				note := gateway.Note{Subject: "grpc: " + n.At, Change: gateway.NoteApproximated, Reason: n.Reason}
				if n.Renamed {
					note.Change = gateway.NoteRenamed
				}
				out = append(out, note)
			}
		}
	}
	return append(out, f.restNotes(source)...)
}

// A restNotesKey is the key of a source's notes in the memo of a snapshot.
type restNotesKey struct{ source string }

// restNotes returns what the documents describe as anything.
func (f *Frontend) restNotes(source string) []gateway.Note {
	notes := f.gw.Whole().Memo(restNotesKey{source}, func(s *gateway.Snapshot) any {
		var out []gateway.Note
		free := func(name string) string { return name }
		look := func(t *gateway.Tool, part string, raw jsontext.Value, instead string) {
			if err := rebase(raw, t.Name, free, func(string, []byte) {}); err != nil {
				out = append(out, gateway.Note{
					Subject: "rest: tool " + t.Origin + ": " + part, Change: gateway.NoteApproximated, Reason: "is described as " + instead + ": " + err.Error(),
				})
			}
		}
		for _, t := range s.Tools {
			if t.Source != source {
				continue
			}
			if t.Input != nil {
				look(t, "input", jsontext.Value(t.Input.JSON()), "any object")
			}
			if t.Output != nil {
				look(t, "output", jsontext.Value(t.Output.JSON()), "anything")
			}
		}
		return out
	})
	return notes.([]gateway.Note) //nolint:forcetypeassert // The key is of this function alone.
}
