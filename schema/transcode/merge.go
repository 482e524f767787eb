package transcode

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Wire bytes may bring the pieces of a field in any order: a singular field twice (the last one holds, messages are
// joined), the elements of a list apart from each other, several members of a oneof (the last one holds), a key of a
// map twice (the last one holds). One pass cannot write that as JSON, so this second way gathers the pieces of each
// message first. It copies nothing but the places where the pieces lie.

// part is one value of a field: the bytes after its tag.
type part struct {
	f *field
	t protowire.Type
	b []byte
}

// gather returns the parts of a message that is spread over several segments, those of one field together.
func gather(p *Plan, segments [][]byte) ([]part, error) {
	var parts []part
	for _, b := range segments {
		for len(b) > 0 {
			f, t, n, err := p.next(b)
			if err != nil {
				return nil, err
			}
			b = b[n:]
			if f == nil {
				continue
			}
			m := protowire.ConsumeFieldValue(f.num, t, b)
			if m < 0 {
				return nil, ErrMalformed
			}
			parts = append(parts, part{f, t, b[:m]})
			b = b[m:]
		}
	}
	if p.oneofs {
		parts = lastMembers(parts)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return a.f.index - b.f.index })
	return parts, nil
}

// lastMembers leaves out the parts of oneofs that a later member has replaced.
func lastMembers(parts []part) []part {
	type winner struct {
		f    *field
		over bool // another member came before it
	}
	winners := map[int]*winner{}
	kept := parts[:0:0]
	for _, x := range slices.Backward(parts) {
		if x.f.oneof >= 0 {
			w := winners[x.f.oneof]
			if w == nil {
				w = &winner{f: x.f}
				winners[x.f.oneof] = w
			}
			w.over = w.over || w.f != x.f
			if w.over {
				continue
			}
		}
		kept = append(kept, x)
	}
	slices.Reverse(kept)
	return kept
}

// payloads returns the bytes of the messages that the parts are.
func payloads(parts []part) [][]byte {
	segments := make([][]byte, 0, len(parts))
	for _, x := range parts {
		var v []byte
		if x.t == protowire.StartGroupType {
			v, _ = protowire.ConsumeGroup(x.f.num, x.b) // gather has seen that it is whole
		} else {
			v, _ = protowire.ConsumeBytes(x.b)
		}
		segments = append(segments, v)
	}
	return segments
}

// merged writes the message that is spread over the segments.
func (r *reader) merged(p *Plan, segments [][]byte, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	if len(r.buf) > r.max {
		return ErrTooLarge
	}
	switch p.form { //nolint:exhaustive // The others are alike.
	case asObject:
		r.buf = append(r.buf, '{')
		if err := r.mergedMembers(p, segments, depth); err != nil {
			return err
		}
		r.buf = append(r.buf, '}')
		return nil
	case asStruct, asList, asWhole, asValue:
		parts, err := gather(p, segments)
		if err != nil {
			return err
		}
		switch {
		case len(parts) > 0:
			return r.joined(p, parts, depth)
		case p.form == asValue:
			r.buf = append(r.buf, "null"...)
			return nil
		default:
			return r.zero(&p.fields[0], depth)
		}
	default:
		return r.wellKnown(p, slices.Concat(segments...), depth)
	}
}

// mergedMembers is members for a message that is spread over the segments.
func (r *reader) mergedMembers(p *Plan, segments [][]byte, depth int) error {
	parts, err := gather(p, segments)
	if err != nil {
		return err
	}
	var seen bits
	for len(parts) > 0 {
		f, n := parts[0].f, 1
		for n < len(parts) && parts[n].f == f {
			n++
		}
		seen.add(f.index)
		if len(r.buf) > r.max {
			return ErrTooLarge
		}
		if !f.inline {
			r.key(f)
		}
		if err := r.joined(p, parts[:n], depth); err != nil {
			return err
		}
		parts = parts[n:]
	}
	r.absent(p, &seen)
	return nil
}

// joined writes a field whose parts these are.
func (r *reader) joined(p *Plan, parts []part, depth int) error {
	f, last := parts[0].f, parts[len(parts)-1]
	switch {
	case f.isMap && f.inline:
		return r.entries(p, parts, depth)
	case f.inline:
		own, err := gather(f.sub, payloads(parts))
		if err != nil {
			return err
		}
		return r.entries(p, own, depth+1)
	case f.isMap:
		r.buf = append(r.buf, '{')
		if err := r.entries(nil, parts, depth); err != nil {
			return err
		}
		r.buf = append(r.buf, '}')
		return nil
	case f.list:
		r.buf = append(r.buf, '[')
		for _, x := range parts {
			if _, err := r.occurrence(p, f, x.t, x.b, nil, depth); err != nil {
				return err
			}
		}
		r.buf = append(r.buf, ']')
		return nil
	case f.sub != nil:
		return r.merged(f.sub, payloads(parts), depth+1)
	case p.form == asValue:
		_, err := r.kindValue(f, last.b, depth)
		return err
	default:
		_, err := r.value(f, last.b, depth)
		return err
	}
}

// entries writes the entries of a map, of each key the last.
func (r *reader) entries(p *Plan, parts []part, depth int) error {
	last := make(map[string]int, len(parts))
	names := make([]string, len(parts))
	at := len(r.buf)
	for i, x := range parts {
		v, _ := protowire.ConsumeBytes(x.b)
		e, err := x.f.split(v, true)
		if err != nil {
			return err
		}
		if err := r.mapKey(x.f.key, e.key); err != nil {
			return err
		}
		names[i] = string(r.buf[at:])
		r.buf = r.buf[:at]
		last[names[i]] = i
	}
	for i, x := range parts {
		if last[names[i]] != i {
			continue
		}
		v, _ := protowire.ConsumeBytes(x.b)
		if err := r.entry(p, x.f, v, nil, depth); err != nil {
			return err
		}
	}
	return nil
}

// pair is an entry of a map: the bytes of key and value after their tags, nil where they are not there.
type pair struct {
	key  []byte
	vals []part // more than one only where they are to be joined
	val  part
}

// split reads an entry. Where it is not to be joined, an entry in pieces is errOrder.
func (f *field) split(b []byte, join bool) (pair, error) {
	var e pair
	for len(b) > 0 {
		num, t, n := protowire.ConsumeTag(b)
		if n < 0 || !num.IsValid() {
			return e, ErrMalformed
		}
		m := protowire.ConsumeFieldValue(num, t, b[n:])
		if m < 0 {
			return e, ErrMalformed
		}
		v := b[n : n+m]
		b = b[n+m:]
		switch {
		case num == 1 && t == f.key.wire:
			if e.key != nil && !join {
				return e, errOrder
			}
			e.key = v
		case num == 2 && t == f.val.wire:
			if e.val.b != nil && !join {
				return e, errOrder
			}
			e.val = part{f.val, t, v}
			if join && f.val.sub != nil {
				e.vals = append(e.vals, e.val)
			}
		}
	}
	return e, nil
}

// entry writes an entry of a map as a member of the object that is open. P is the plan whose own properties the key
// must not take, or nil. The keys are those that the map has already, or nil where they are known to differ.
func (r *reader) entry(p *Plan, f *field, b []byte, k *keys, depth int) error {
	e, err := f.split(b, r.merging)
	if err != nil {
		return err
	}
	if len(r.buf) > r.max {
		return ErrTooLarge
	}
	r.comma('{')
	from := len(r.buf)
	if err := r.mapKey(f.key, e.key); err != nil {
		return err
	}
	if p != nil && p.owns(e.key) {
		return errTaken
	}
	if k != nil && !k.add(r.buf, from) {
		return errOrder
	}
	r.buf = append(r.buf, ':')
	switch {
	case e.val.b == nil:
		return r.zero(f.val, depth)
	case len(e.vals) > 1:
		return r.merged(f.val.sub, payloads(e.vals), depth+1)
	default:
		_, err = r.value(f.val, e.val.b, depth)
		return err
	}
}

// owns reports whether a field stands for the property that the key, with its length before it, names.
func (p *Plan) owns(key []byte) bool {
	if p.inline == nil {
		return false
	}
	name, _ := protowire.ConsumeBytes(key)
	_, is := p.byName[string(name)]
	return is
}

// mapKey writes the key of an entry, whose bytes are nil where it is the default.
func (r *reader) mapKey(f *field, b []byte) error {
	bare := f.kind != protoreflect.StringKind && (r.dialect == ToolJSON || !is64(f.kind))
	if bare {
		r.buf = append(r.buf, '"')
	}
	if b == nil {
		r.buf = append(r.buf, f.zero...)
	} else if _, err := r.value(f, b, 0); err != nil {
		return err
	}
	if bare {
		r.buf = append(r.buf, '"')
	}
	return nil
}

// fewKeys is how many keys are compared one by one.
const fewKeys = 16

// add notes the key that stands at the end of the buffer, and reports whether it is new.
func (k *keys) add(buf []byte, from int) bool {
	key := buf[from:]
	if k.set != nil {
		if _, was := k.set[string(key)]; was {
			return false
		}
		k.set[string(key)] = struct{}{}
		return true
	}
	for _, s := range k.spans {
		if string(buf[s[0]:s[1]]) == string(key) {
			return false
		}
	}
	k.spans = append(k.spans, [2]int{from, len(buf)})
	if len(k.spans) > fewKeys {
		k.set = make(map[string]struct{}, 2*fewKeys)
		for _, s := range k.spans {
			k.set[string(buf[s[0]:s[1]])] = struct{}{}
		}
	}
	return true
}
