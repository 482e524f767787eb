package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// A Note says what became of something that a source has and the registry did
// not take over as it is. Notes are for the operator.
type Note struct {
	Subject string     // what the source calls it, such as "GET /users" or "orders.v1.Orders.Watch"
	Change  NoteChange // what became of it
	Reason  string     // why, in one line
}

// A NoteChange is what became of the subject of a [Note].
type NoteChange string

// The changes.
const (
	NoteSkipped      NoteChange = "skipped"      // it is not offered
	NoteRenamed      NoteChange = "renamed"      // it is offered under another name
	NoteApproximated NoteChange = "approximated" // it is offered, but the source says more of it than the registry can
)

// maxNotes bounds the notes that are kept of one source.
const maxNotes = 10_000

// An Override replaces what a source says of one of its capabilities. What is
// zero stays as the source says it.
type Override struct {
	Name        string // of a tool or prompt, before the prefix is put in front; no other kind has one
	Title       string
	Description string
	Tags        []string // in addition to those of the source

	// Annotations of a tool, for a source that does not know better.
	ReadOnly    *bool
	Destructive *bool
	Idempotent  *bool
}

// apply returns what is said of a capability, with the override in place of
// what the source said.
func (o *Override) apply(c *Capability) {
	var members []member
	if o.Title != "" {
		c.Title = o.Title
		members = append(members, stringMember("title", o.Title))
	}
	if o.Description != "" {
		c.Description = o.Description
		members = append(members, stringMember("description", o.Description))
	}
	if len(members) > 0 {
		c.Definition = setMembers(c.Definition, members...)
	}
}

// annotate is apply for what only tools have.
func (o *Override) annotate(t *Tool) {
	var members []member
	for _, hint := range []struct {
		name string
		to   *bool
		at   **bool
	}{
		{"readOnlyHint", o.ReadOnly, &t.Annotations.ReadOnly},
		{"destructiveHint", o.Destructive, &t.Annotations.Destructive},
		{"idempotentHint", o.Idempotent, &t.Annotations.Idempotent},
	} {
		if hint.to == nil {
			continue
		}
		*hint.at = hint.to
		value := "false"
		if *hint.to {
			value = "true"
		}
		members = append(members, member{hint.name, json.RawMessage(value)})
	}
	if len(members) == 0 {
		return
	}
	annotations := memberOf(t.Definition, "annotations")
	if jsontext.Value(annotations).Kind() != '{' {
		annotations = json.RawMessage("{}")
	}
	t.Definition = setMembers(t.Definition, member{"annotations", setMembers(annotations, members...)})
}

// A member is one of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

func stringMember(name, value string) member {
	quoted, _ := jsontext.AppendQuote(nil, value) // The error reports invalid UTF-8, already replaced.
	return member{name, quoted}
}

// memberOf returns the value of an object's member, or nil.
func memberOf(object json.RawMessage, name string) json.RawMessage {
	var found json.RawMessage
	eachMember(object, func(key string, value jsontext.Value, _ int) {
		if key == name && found == nil {
			found = json.RawMessage(bytes.Clone(value))
		}
	})
	return found
}

// setMembers returns an object with other values for its members, those that
// it lacks at the end, and every other byte as it was. What is no object stays
// as it is.
func setMembers(object json.RawMessage, members ...member) json.RawMessage {
	out := make([]byte, 0, len(object)+64)
	from, seen := 0, 0
	set := make([]bool, len(members))
	whole := eachMember(object, func(key string, value jsontext.Value, end int) {
		seen++
		for i, m := range members {
			if m.name == key && !set[i] {
				out = append(append(out, object[from:end-len(value)]...), m.value...)
				from, set[i] = end, true
			}
		}
	})
	if !whole {
		return object
	}
	last := bytes.LastIndexByte(object, '}')
	out = append(out, object[from:last]...)
	for i, m := range members {
		if set[i] {
			continue
		}
		if seen++; seen > 1 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, m.name) // Our own names are valid.
		out = append(append(out, ':'), m.value...)
	}
	return append(out, object[last:]...)
}

// eachMember calls f with every member of an object and the offset at which its
// value ends, and reports whether the object could be read to its end. The
// value is valid until f returns.
func eachMember(object json.RawMessage, f func(key string, value jsontext.Value, end int)) bool {
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if d.PeekKind() != '{' {
		return false
	}
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return false
		}
		key := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return false
		}
		f(key, value, int(d.InputOffset()))
	}
	_, err := d.ReadToken()
	return err == nil
}

// maxName bounds the names of tools and prompts, in bytes.
const maxName = 64

// shorten returns a name that is not longer than a name may be: what is cut off
// is replaced by a hash of the whole, so that the same name always becomes the
// same, whatever else there is.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	return name[:maxName-len(tail)] + tail
}
