package protoschema

import (
	"fmt"
	"strings"

	"github.com/jhump/protoreflect/v2/protoprint"
)

// Text returns the source text of what [Module.Single] returns, or nil.
func (m *Module) Text(keep func(key string) bool) ([]byte, error) {
	file := m.Single(keep)
	if file == nil {
		return nil, nil
	}
	files, err := Link([]File{{file}})
	if err != nil {
		return nil, err
	}
	fd, err := files.FindFileByPath(file.GetName())
	if err != nil {
		return nil, err
	}
	// A package below trilith that is called google hides the real one.
	printer := protoprint.Printer{ForceFullyQualifiedNames: m.base() == "google"}
	text, err := printer.PrintProtoToString(fd)
	if err != nil {
		return nil, fmt.Errorf("print %s: %w", file.GetName(), err)
	}
	return []byte(strings.TrimRight(text, "\n") + "\n"), nil
}
