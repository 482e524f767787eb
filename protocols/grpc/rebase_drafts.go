package grpc

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// modern returns the members of a schema of draft 6 or 7 in the words of
// 2020-12. What had no meaning there is left out.
func modern(all []jsonMember) ([]jsonMember, error) {
	has := func(name string, kind jsontext.Kind) bool {
		return slices.ContainsFunc(all, func(m jsonMember) bool { return m.name == name && m.value.Kind() == kind })
	}
	isRef, tuple := has("$ref", '"'), has("items", '[')
	var out []jsonMember
	for _, m := range all {
		if isRef && !besideRef(m.name) || later(m.name) {
			continue
		}
		switch m.name {
		case "dependencies":
			more, err := dependencies(m.value)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case "items":
			if tuple {
				m.name = "prefixItems"
			}
			if string(m.value) != "[]" {
				out = append(out, m)
			}
		case "additionalItems":
			if tuple {
				out = append(out, jsonMember{"items", m.value})
			}
		default:
			out = append(out, m)
		}
	}
	return out, nil
}

// later reports whether a keyword came after draft 7.
func later(name string) bool {
	switch name {
	case "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$recursiveAnchor", "$vocabulary", "$defs", "prefixItems",
		"dependentSchemas", "dependentRequired", "unevaluatedItems", "unevaluatedProperties", "minContains", "maxContains", "deprecated":
		return true
	}
	return false
}

// besideRef reports whether a member has a meaning beside a reference in draft
// 6 and 7.
func besideRef(name string) bool {
	switch name {
	case "$ref", "definitions", "$schema", "$id", "title", "description":
		return true
	}
	return false
}

// dependencies returns what the keyword has become.
func dependencies(v jsontext.Value) ([]jsonMember, error) {
	all, err := members(v)
	if err != nil {
		return nil, err
	}
	required, schemas := []byte{'{'}, []byte{'{'}
	for _, m := range all {
		to := &schemas
		if m.value.Kind() == '[' {
			to = &required
		}
		if len(*to) > 1 {
			*to = append(*to, ',')
		}
		*to = append(append(append(*to, quoted(m.name)...), ':'), m.value...)
	}
	return []jsonMember{{"dependentRequired", append(required, '}')}, {"dependentSchemas", append(schemas, '}')}}, nil
}
