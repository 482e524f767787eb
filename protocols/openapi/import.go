package openapi

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// An imported document is what a source offers and how each of it is called. It
// is never changed once made, so a call that has one keeps it.
type imported struct {
	catalog   gateway.Catalog
	plans     map[string]*plan     // by name of the tool
	resources map[string]*resource // by URI, and by URI template
	base      *url.URL             // where the service is
}

// load reads a document. From is where it was fetched, nil for a file. Only what
// concerns the document as a whole is an error; what concerns an operation is a
// note.
func load(ctx context.Context, data []byte, o *Options, from *url.URL) (*imported, error) {
	d, err := open(data, o.MaxDocument)
	if err != nil {
		return nil, err
	}
	base, err := d.server(o, from)
	if err != nil {
		return nil, err
	}
	security, err := d.schemes(o)
	if err != nil {
		return nil, err
	}
	im := &importer{
		o: o, doc: d, security: security,
		out: &imported{plans: map[string]*plan{}, resources: map[string]*resource{}, base: base},
	}
	chosen := im.selected(from)
	im.credentials(chosen)
	for _, op := range chosen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		im.operation(op)
	}
	im.out.catalog.Notes = im.notes
	return im.out, nil
}

// An importer makes what a document is imported as.
type importer struct {
	o        *Options
	doc      *document
	security *schemes
	out      *imported
	notes    notes
	bytes    int // of definitions
}

// selected returns the operations that are to be offered, with their names and
// servers, and notes the others.
func (im *importer) selected(from *url.URL) []*operation {
	var all []*operation
	for op, err := range im.doc.operations() {
		if err != nil {
			im.notes.add(op.subject(), gateway.NoteSkipped, err.Error())
			continue
		}
		all = append(all, op)
	}
	nameAll(all)
	chosen := all[:0]
	for _, op := range all {
		server, err := im.doc.serverOf(op, im.o, from, im.out.base)
		switch why := im.o.Select.without(op); {
		case why != "":
			im.notes.add(op.subject(), gateway.NoteSkipped, "its "+why+" is not selected")
		case !im.o.Omit.empty() && im.o.Omit.matches(op):
			im.notes.add(op.subject(), gateway.NoteSkipped, "it is omitted by configuration")
		case err != nil:
			im.notes.add(op.subject(), gateway.NoteSkipped, err.Error())
		case len(chosen) >= maxOperations:
			im.notes.add(op.subject(), gateway.NoteSkipped, "there are too many operations: narrow them down with select and omit")
		default:
			op.server = *server
			chosen = append(chosen, op)
		}
	}
	return chosen
}

// credentials notes each reason why operations have no credential once, with how
// many they are.
func (im *importer) credentials(chosen []*operation) {
	count := map[string]int{}
	for _, op := range chosen {
		if _, lack := im.security.of(op); lack != "" {
			count[lack]++
		}
	}
	for _, lack := range slices.Sorted(maps.Keys(count)) {
		im.notes.add("security", gateway.NoteApproximated, fmt.Sprintf("%s, and %d operations are called without", lack, count[lack]))
	}
}

// operation offers one operation.
func (im *importer) operation(op *operation) {
	skip := func(why string) { im.notes.add(op.subject(), gateway.NoteSkipped, why) }
	if im.bytes > maxDefinitions {
		skip("the definitions before it are too long together: narrow them down with select and omit")
		return
	}
	p, lacks, renamed, err := im.doc.planOf(op, im.security, im.o.Headers)
	if err != nil {
		skip(err.Error())
		return
	}
	tool, less, err := im.doc.definitionOf(op, p, im.o.Outputs)
	if err != nil {
		skip(err.Error())
		return
	}
	p.forget()
	im.bytes += len(tool.Definition)
	im.out.catalog.Tools = append(im.out.catalog.Tools, tool)
	im.out.plans[op.name] = p
	if op.renamed != "" {
		im.notes.add(op.subject(), gateway.NoteRenamed, clip.Text(op.renamed, 128)+" is the tool "+op.name)
	}
	for _, r := range renamed {
		im.notes.add(op.subject(), gateway.NoteRenamed, r)
	}
	for _, lack := range append(lacks, less...) {
		im.notes.add(op.subject(), gateway.NoteApproximated, lack)
	}
	if len(im.o.Resources) > 0 && matchesAny(im.o.Resources, op.name) {
		im.resource(op, p)
	}
}
