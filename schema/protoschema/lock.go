package protoschema

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lockFormat is the version of the form that a lock has in JSON.
const lockFormat = 1

// maxLock is the entries that a lock holds at most. A source that offers new
// names all the time ends there, instead of filling the memory.
const maxLock = 500_000

// maxNumber is the highest number of a field.
const maxNumber = 1<<29 - 1

// ErrLockFull says that a source has used up what a lock may hold.
var ErrLockFull = errors.New("the lock table is full")

// A Lock is all that must not change about the protobuf types of one source: the
// names of methods and messages and the numbers of fields. What was given once
// is never given another meaning, so that programs made for an older state of
// the source still understand a newer one.
//
// A lock only grows. It is not safe for concurrent use.
type Lock struct {
	Format  int    `json:"format"`  // 1
	Source  string `json:"source"`  // whose lock it is
	Package string `json:"package"` // such as "trilith.petstore.v1"

	// Methods are the names of methods by what they are made of, such as
	// "tool/add".
	Methods map[string]string `json:"methods"`

	// Shared are the messages of the definitions that several schemas have in
	// common, by the name of the definition.
	Shared map[string][]SharedLock `json:"shared,omitzero"`

	// Messages are by name, those inside others as in "AddRequest.Filter".
	Messages map[string]*MessageLock `json:"messages"`

	used    map[string]bool // every name of a method and a message of the package
	tried   map[string]int
	entries int
	changed bool
}

// A SharedLock is one message of a definition's name.
type SharedLock struct {
	Message string `json:"message"`
	Shape   string `json:"shape"` // a hash of the definition with all that it reaches, when it was last seen
	Home    string `json:"home"`  // the first message that reached it then
}

// A MessageLock is what must not change about one message.
type MessageLock struct {
	// Fields are by the name of the property. A property that has had several types
	// has a field for each; those that are not in use are reserved.
	Fields map[string][]FieldLock `json:"fields,omitzero"`
	Types  map[string]string      `json:"types,omitzero"` // names of the messages inside, by property
	Next   int32                  `json:"next"`           // the next free number

	folded map[string]bool // the names of the fields, without underscores
	types  map[string]bool // the names in Types
	tried  map[string]int
}

// A FieldLock is one field.
type FieldLock struct {
	Number int32  `json:"number"`
	Kind   string `json:"kind"` // the type, such as "int64", "[]string" or "message:User"
	Name   string `json:"name"` // in protobuf
}

// NewLock returns the empty lock of a source, with the package that its types
// are to have.
func NewLock(source, pkg string) *Lock {
	return &Lock{Format: lockFormat, Source: source, Package: pkg, Methods: map[string]string{}, Messages: map[string]*MessageLock{}}
}

// ParseLock reads a lock as [Lock.JSON] writes it.
func ParseLock(data []byte) (*Lock, error) {
	l := &Lock{}
	if err := jsonv2.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if l.Format != lockFormat {
		return nil, fmt.Errorf("lock: format %d, this version reads %d", l.Format, lockFormat)
	}
	if l.Methods == nil {
		l.Methods = map[string]string{}
	}
	if l.Messages == nil {
		l.Messages = map[string]*MessageLock{}
	}
	for name, m := range l.Messages {
		if m == nil || m.Next < 1 {
			return nil, fmt.Errorf("lock: message %q is damaged", name)
		}
	}
	return l, nil
}

// JSON returns the lock as JSON text, the same for equal locks.
func (l *Lock) JSON() ([]byte, error) {
	return jsonv2.Marshal(l, jsonv2.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// Clone returns a copy.
func (l *Lock) Clone() *Lock {
	c := *l
	c.used, c.tried, c.changed = nil, nil, false
	c.Methods = maps.Clone(l.Methods)
	c.Shared = make(map[string][]SharedLock, len(l.Shared))
	for name, s := range l.Shared {
		c.Shared[name] = slices.Clone(s)
	}
	c.Messages = make(map[string]*MessageLock, len(l.Messages))
	for name, m := range l.Messages {
		d := &MessageLock{Fields: make(map[string][]FieldLock, len(m.Fields)), Types: maps.Clone(m.Types), Next: m.Next}
		for property, f := range m.Fields {
			d.Fields[property] = slices.Clone(f)
		}
		c.Messages[name] = d
	}
	return &c
}

// Changed reports whether a compilation has added something since the lock was
// made, read or cloned.
func (l *Lock) Changed() bool { return l.changed }

// Equal reports whether two locks hold the same.
func (l *Lock) Equal(o *Lock) bool {
	a, errA := l.JSON()
	b, errB := o.JSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Extends reports whether everything that another lock has given has the same
// meaning in this one, so that this one can take its place.
func (l *Lock) Extends(o *Lock) bool {
	if l.Source != o.Source || l.Package != o.Package || !holds(l.Methods, o.Methods) {
		return false
	}
	for def, all := range o.Shared {
		for _, s := range all {
			if !slices.ContainsFunc(l.Shared[def], func(have SharedLock) bool { return have.Message == s.Message }) {
				return false
			}
		}
	}
	for name, m := range o.Messages {
		have := l.Messages[name]
		if have == nil || have.Next < m.Next || !holds(have.Types, m.Types) {
			return false
		}
		for property, fields := range m.Fields {
			for _, f := range fields {
				if !slices.Contains(have.Fields[property], f) {
					return false
				}
			}
		}
	}
	return true
}

func holds(all, some map[string]string) bool {
	for k, v := range some {
		if have, ok := all[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// Check returns what of a lock that comes from elsewhere cannot be used.
func (l *Lock) Check() error {
	if middle, ok := strings.CutPrefix(l.Package, "trilith."); !ok || !identifier(strings.TrimSuffix(middle, ".v1")) || !strings.HasSuffix(middle, ".v1") {
		return fmt.Errorf("lock: %q is no package of a source", l.Package)
	}
	methods := map[string]bool{}
	for key, name := range l.Methods {
		if !identifier(name) || methods[name] {
			return fmt.Errorf("lock: %q cannot be the name of %q", name, key)
		}
		methods[name] = true
	}
	for message, m := range l.Messages {
		if err := m.check(); err != nil {
			return fmt.Errorf("lock: message %q cannot have %w", message, err)
		}
	}
	return nil
}

func (m *MessageLock) check() error {
	numbers, names := map[int32]bool{}, map[string]bool{}
	for property, fields := range m.Fields {
		for _, f := range fields {
			own := f.Number >= 19000 && f.Number < 20000 // Protobuf's.
			if f.Number < 1 || f.Number >= m.Next || own || numbers[f.Number] || !identifier(f.Name) || names[folded(f.Name)] {
				return fmt.Errorf("the field %s = %d of %q", f.Name, f.Number, property)
			}
			numbers[f.Number], names[folded(f.Name)] = true, true
		}
	}
	return nil
}

// identifier reports whether a text is a name in protobuf.
func identifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
