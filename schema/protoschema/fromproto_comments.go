package protoschema

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Remarks returns the comments at a declaration, as one text for people and models; "" where there are none.
func (g *From) Remarks(d protoreflect.Descriptor) string {
	if text := commentAt(d); text != "" {
		return text
	}
	return g.comments[d.FullName()]
}

// Comments returns the comments of all declarations in files.
func Comments(files *protoregistry.Files) map[protoreflect.FullName]string {
	all := map[protoreflect.FullName]string{}
	note := func(d protoreflect.Descriptor) {
		if text := commentAt(d); text != "" {
			all[d.FullName()] = text
		}
	}
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if fd.SourceLocations().Len() == 0 {
			return true
		}
		noteDeclarations(fd, note)
		for i := range fd.Services().Len() {
			s := fd.Services().Get(i)
			note(s)
			for j := range s.Methods().Len() {
				note(s.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// noteDeclarations calls note for all messages, fields, enums and values below a file or a message.
func noteDeclarations(d interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
}, note func(protoreflect.Descriptor),
) {
	for i := range d.Enums().Len() {
		e := d.Enums().Get(i)
		note(e)
		for j := range e.Values().Len() {
			note(e.Values().Get(j))
		}
	}
	for i := range d.Messages().Len() {
		m := d.Messages().Get(i)
		note(m)
		for j := range m.Fields().Len() {
			note(m.Fields().Get(j))
		}
		noteDeclarations(m, note)
	}
}

// commentAt returns the comments at a declaration in its own file.
func commentAt(d protoreflect.Descriptor) string {
	at := d.ParentFile().SourceLocations().ByDescriptor(d)
	text := strings.TrimSpace(at.LeadingComments)
	if text == "" {
		text = strings.TrimSpace(at.TrailingComments)
	}
	if text == "" {
		return ""
	}
	var lines []string
	for line := range strings.Lines(clean(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "buf:lint:") && !strings.HasPrefix(line, "@exclude") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
