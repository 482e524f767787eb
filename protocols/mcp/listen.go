package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// A listener is one subscriptions/listen that has been accepted.
type listener struct {
	feed      *feed
	principal *gateway.Principal
	ack       []byte        // the first message
	result    func() []byte // the response of a graceful end
}

// openListen reads what a client wants to hear of and begins to watch the
// resources among it. The acknowledgement names what is honoured: all lists, and
// the resources that this principal may follow (basic, subscriptions).
func (f *Frontend) openListen(ctx context.Context, req *request) (*listener, *wireError) {
	var want struct {
		Tools     bool     `json:"toolsListChanged"`
		Prompts   bool     `json:"promptsListChanged"`
		Resources bool     `json:"resourcesListChanged"`
		URIs      []string `json:"resourceSubscriptions"`
		Tasks     []string `json:"taskIds"`
	}
	if !isObject(req.params.notifications) || jsonv2.Unmarshal(req.params.notifications, &want) != nil {
		return nil, invalidParams("notifications must be a filter")
	}
	if len(want.URIs) > maxFollows || len(want.Tasks) > maxFollows {
		return nil, invalidParams("too many resourceSubscriptions or taskIds")
	}
	id := bytes.Clone(req.ID)
	d := f.newFeed(req.principal, filter{want.Tools, want.Prompts, want.Resources})
	d.modern = true
	d.tag = append(append([]byte(`"_meta":{"`+metaSubscription+`":`), id...), '}')
	tasks, werr := f.followTasks(ctx, req, d, want.Tasks)
	if werr != nil {
		return nil, werr
	}

	followed := make([]bool, len(want.URIs))
	var wg sync.WaitGroup
	for i, uri := range want.URIs {
		wg.Go(func() { followed[i] = d.follow(ctx, req.principal, uri) == nil })
	}
	wg.Wait()

	l := &listener{feed: d, principal: req.principal}
	l.ack = append(appendNotification(nil, "notifications/subscriptions/acknowledged"), d.tag...)
	l.ack = append(l.ack, `,"notifications":`...)
	l.ack = append(acknowledged(l.ack, d.want, want.URIs, followed, tasks), "}}"...)
	l.result = func() []byte {
		b := append(appendResponse(nil, id), `{"resultType":"complete",`...)
		b = append(append(b, d.tag[:len(d.tag)-1]...), ',')
		return append(append(b, f.info[1:]...), "}}"...)
	}
	return l, nil
}

// acknowledged appends the filter that is honoured.
func acknowledged(b []byte, want filter, uris []string, followed []bool, tasks []string) []byte {
	var a struct {
		Tools     bool     `json:"toolsListChanged,omitzero"`
		Prompts   bool     `json:"promptsListChanged,omitzero"`
		Resources bool     `json:"resourcesListChanged,omitzero"`
		URIs      []string `json:"resourceSubscriptions,omitempty"`
		Tasks     []string `json:"taskIds,omitempty"`
	}
	a.Tools, a.Prompts, a.Resources, a.Tasks = want.tools, want.prompts, want.resources, tasks
	for i, uri := range uris {
		if followed[i] {
			a.URIs = append(a.URIs, uri)
		}
	}
	text, _ := json.Marshal(a) // Strings and booleans always marshal.
	return append(b, text...)
}

// listen sends the acknowledgement and then what changes. It returns nil after
// a graceful end, which the client has been told by the result: the server
// closes, the credential has expired, or a resource can no longer be followed.
func (f *Frontend) listen(ctx context.Context, l *listener, out stream) error {
	if err := out.send(l.ack); err != nil {
		return err
	}
	long, cancel := auth.Until(ctx, l.principal)
	defer cancel()
	err := l.feed.run(long, l.principal, out, f.o.KeepAlive, f.streams.ending)
	if err == nil || errors.Is(err, errFollowLost) || long.Err() != nil && ctx.Err() == nil {
		return out.send(l.result())
	}
	return err
}
