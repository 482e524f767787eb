package protoschema

import (
	"fmt"
	"slices"
)

// ready makes the indexes.
func (l *Lock) ready() {
	if l.used != nil {
		return
	}
	l.used, l.tried, l.entries = map[string]bool{}, map[string]int{}, 0
	for _, m := range l.Methods {
		l.entries++
		for _, n := range namesOf(m) {
			l.used[n] = true
		}
	}
	for _, all := range l.Shared {
		for _, s := range all {
			l.entries++
			l.used[s.Message] = true
		}
	}
	for _, m := range l.Messages {
		for _, fields := range m.Fields {
			l.entries += len(fields)
		}
	}
}

// namesOf returns every name of the package that a method takes for itself and
// its streaming twin.
func namesOf(method string) []string {
	return []string{
		method, method + streamSuffix, method + requestSuffix, method + responseSuffix,
		method + streamSuffix + requestSuffix, method + streamSuffix + responseSuffix,
	}
}

const (
	streamSuffix   = "Stream"
	requestSuffix  = "Request"
	responseSuffix = "Response"
)

// grow counts one entry more.
func (l *Lock) grow() error {
	l.changed = true
	if l.entries++; l.entries > maxLock {
		return ErrLockFull
	}
	return nil
}

// method returns the name of a method.
func (l *Lock) method(key, wish string) (string, error) {
	if name, ok := l.Methods[key]; ok {
		return name, nil
	}
	name := vacant(pascal(wish, "Method"), "", l.tried, func(s string) bool {
		return !slices.ContainsFunc(namesOf(s), func(n string) bool { return l.used[n] })
	})
	for _, n := range namesOf(name) {
		l.used[n] = true
	}
	l.Methods[key] = name
	return name, l.grow()
}

// shared returns the message of a definition. Present holds the shapes that the
// source's definitions of that name have now.
func (l *Lock) shared(def, shape, home string, present map[string]bool) (string, error) {
	all := l.Shared[def]
	at := slices.IndexFunc(all, func(s SharedLock) bool { return s.Shape == shape })
	if at < 0 { // One that has changed goes on under its name.
		at = slices.IndexFunc(all, func(s SharedLock) bool { return s.Home == home && !present[s.Shape] })
	}
	if at >= 0 {
		if all[at].Shape != shape {
			all[at].Shape, l.changed = shape, true
		}
		return all[at].Message, nil
	}
	name := vacant(pascal(def, "Type"), "", l.tried, func(s string) bool { return !l.used[s] })
	l.used[name] = true
	if l.Shared == nil {
		l.Shared = map[string][]SharedLock{}
	}
	l.Shared[def] = append(all, SharedLock{Message: name, Shape: shape, Home: home})
	return name, l.grow()
}

// message returns what is locked of a message.
func (l *Lock) message(name string) *MessageLock {
	m := l.Messages[name]
	if m == nil {
		m = &MessageLock{Next: 1}
		l.Messages[name], l.changed = m, true
	}
	if m.folded == nil {
		m.folded, m.types, m.tried = map[string]bool{}, map[string]bool{}, map[string]int{}
		for _, t := range m.Types {
			m.types[t] = true
		}
		for _, fields := range m.Fields {
			for _, f := range fields {
				m.folded[folded(f.Name)] = true
			}
		}
	}
	return m
}

// field returns the number and the name of a field.
func (l *Lock) field(m *MessageLock, property, wish, kind string) (FieldLock, error) {
	had := m.Fields[property]
	for _, f := range had {
		if f.Kind == kind {
			return f, nil
		}
	}
	base := snake(wish, "field")
	if len(had) > 0 { // Another type is another field, with another name: its JSON name is the same.
		base = fmt.Sprintf("%s_v%d", base, len(had)+1)
	}
	f := FieldLock{Number: m.Next, Kind: kind}
	f.Name = vacant(base, "_", m.tried, func(s string) bool { return !m.folded[folded(s)] })
	m.folded[folded(f.Name)] = true
	if m.Next++; m.Next == 19000 { // Up to 19999 they are protobuf's own.
		m.Next = 20000
	}
	if f.Number > maxNumber {
		return f, ErrLockFull
	}
	if m.Fields == nil {
		m.Fields = map[string][]FieldLock{}
	}
	m.Fields[property] = append(had, f)
	return f, l.grow()
}

// inner returns the name of the message inside another one that a property has.
func (l *Lock) inner(m *MessageLock, property string, outer []string) string {
	if name, ok := m.Types[property]; ok {
		return name
	}
	base := pascal(property, "Type")
	if len(base) >= 5 && base[len(base)-5:] == "Entry" { // Those are the names of maps.
		base += "Object"
	}
	name := vacant(base, "", m.tried, func(s string) bool { // Some languages do not allow the name of an outer one.
		return !m.types[s] && !slices.Contains(outer, s)
	})
	m.types[name] = true
	if m.Types == nil {
		m.Types = map[string]string{}
	}
	m.Types[property], l.changed = name, true
	return name
}
