package admin

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

func (s *service) sourceMethods() []method {
	const service = "SourceService"
	return []method{
		inspect(service, "ListSources", s.listSources),
		{service, "WatchSources", true, s.watchSources},
		inspect(service, "ListImportNotes", s.listImportNotes),
		inspect(service, "GetCanary", s.getCanary),
		change(service, "ShiftCanary", s.shiftCanary),
		change(service, "PromoteCanary", s.promoteCanary),
		change(service, "AbortCanary", s.abortCanary),
	}
}

func (s *service) listSources(context.Context, *gateway.Call, *adminv1.ListSourcesRequest) (*adminv1.ListSourcesResponse, error) {
	return &adminv1.ListSourcesResponse{Sources: s.sources()}, nil
}

// sources returns all sources, by name.
func (s *service) sources() []*adminv1.Source {
	var all []*adminv1.Source
	byName := map[string]*adminv1.Source{}
	for name, problem := range s.Registry.Sources() {
		source := &adminv1.Source{Name: name, Available: problem == nil}
		if problem != nil {
			source.Problem = problem.Error() // The operator may see the cause.
		}
		if s.Pins != nil {
			hidden, waiting := s.Pins.Findings(name)
			source.Hidden, source.Quarantined = hidden, int32(min(waiting, math.MaxInt32)) //nolint:gosec // It is bounded.
		}
		if s.Status != nil {
			s.Status(source)
		}
		s.addEndpoints(source)
		byName[name] = source
		all = append(all, source)
	}
	count := func(c *gateway.Capability, what func(*adminv1.Source) *int32) {
		if source := byName[c.Source]; source != nil {
			*what(source)++
		}
	}
	now := s.Registry.Snapshot()
	for _, t := range now.Tools {
		count(&t.Capability, func(x *adminv1.Source) *int32 { return &x.Tools })
	}
	for _, r := range now.Resources {
		count(&r.Capability, func(x *adminv1.Source) *int32 { return &x.Resources })
	}
	for _, t := range now.Templates {
		count(&t.Capability, func(x *adminv1.Source) *int32 { return &x.Resources })
	}
	for _, p := range now.Prompts {
		count(&p.Capability, func(x *adminv1.Source) *int32 { return &x.Prompts })
	}
	return all
}

// sourcesEvery is how often sources are looked at while somebody follows them.
const sourcesEvery = time.Second

// watchSources reports all sources as a log line of the call, at once and when
// something has changed, until the caller leaves.
func (s *service) watchSources(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Log == nil {
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: by, Msg: "this door cannot follow sources"}
	}
	tick := time.NewTicker(sourcesEvery)
	defer tick.Stop()
	var last *adminv1.WatchSourcesResponse
	for {
		if now := (&adminv1.WatchSourcesResponse{Sources: s.sources()}); last == nil || !proto.Equal(now, last) {
			line, err := protojson.Marshal(now)
			if err != nil {
				return nil, err
			}
			call.Log(gateway.LogMessage{Level: "info", Logger: "sources", Data: line})
			last = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// maxNoteText bounds what is shown of the subject and of the reason of a note,
// in bytes.
const maxNoteText = 1000

func (s *service) listImportNotes(_ context.Context, _ *gateway.Call, req *adminv1.ListImportNotesRequest) (*adminv1.ListImportNotesResponse, error) {
	change := gateway.NoteChange(req.GetChange())
	switch change {
	case "", gateway.NoteSkipped, gateway.NoteRenamed, gateway.NoteApproximated:
	default:
		return nil, invalid("a change is skipped, renamed or approximated")
	}
	if !s.hasSource(req.GetSource()) {
		return nil, &gateway.Error{Code: gateway.NotFound, By: by, Msg: "there is no such source"}
	}
	from := 0
	if t := req.GetPageToken(); t != "" {
		var err error
		if from, err = strconv.Atoi(t); err != nil || from < 0 {
			return nil, invalid("the page token is none that a page gave")
		}
	}
	res := &adminv1.ListImportNotesResponse{}
	size := pageSize(req.GetPageSize(), 100, 1000)
	notes := s.Registry.Notes(req.GetSource())
	if s.Notes != nil {
		notes = slices.Concat(notes, s.Notes(req.GetSource()))
	}
	for _, n := range notes {
		if change != "" && n.Change != change {
			continue
		}
		if i := int(res.GetTotal()); i >= from && i < from+size {
			res.Notes = append(res.Notes, &adminv1.ImportNote{
				Subject: clip.Text(n.Subject, maxNoteText), Change: string(n.Change), Reason: clip.Text(n.Reason, maxNoteText),
			})
		}
		res.Total++
	}
	if next := from + size; next < int(res.GetTotal()) {
		res.NextPageToken = strconv.Itoa(next)
	}
	return res, nil
}

func (s *service) hasSource(name string) bool {
	for have := range s.Registry.Sources() {
		if have == name {
			return true
		}
	}
	return false
}
