package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// sesame is in the name of all that a stranger may not learn of.
const sesame = "sesame"

// A walker goes to everything that a gateway serves, with the token of somebody
// whom no rule names, and with none.
type walker struct {
	*rig
	guest, owner string // tokens
	seen         int64  // the last record that was looked at
}

// An answer is what came back: whether it was a refusal, and by its protocol's
// own name of the reason.
type answer struct {
	code    string // "" where it was no refusal
	unknown bool   // a refusal for want of a credential
	text    string
}

// startWalk runs a gateway with one of everything, called sesame, of which a
// rule names the owner alone.
func startWalk(t *testing.T, dev *server.Dev) *walker {
	t.Helper()
	f := new(gateway.Funcs)
	run := func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"content":[{"type":"text","text":"sesame"}],"contents":[{"uri":"sesame://thing","text":"sesame"}],"messages":[],"completion":{"values":["sesame"]}}`))
	}
	for _, err := range []error{
		f.AddTool(json.RawMessage(`{"name":"thing","inputSchema":{"type":"object"}}`), run),
		f.AddResource(json.RawMessage(`{"uri":"sesame://thing","name":"thing"}`), run),
		f.AddTemplate(json.RawMessage(`{"uriTemplate":"sesame://of/{x}","name":"things"}`), run),
		f.AddPrompt(json.RawMessage(`{"name":"thing","arguments":[{"name":"x"}]}`), run),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.AddCompletion(gateway.KindPrompt, "thing", run)
	edit := withPolicy(t, "p, role:owner, *, **, *, allow\np, role:owner, *, admin/**, *, allow\n")
	r := startWith(t, server.Options{Dev: dev, Sources: map[string]gateway.Upstream{sesame: f}}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Sources = nil
		cfg.Auth.APIKeys = &config.APIKeys{MaxLife: time.Hour, Header: "X-API-Key"}
		cfg.Limits.CallTimeout = time.Minute
		cfg.Toolsets = []config.Toolset{{Name: sesame, Tools: []string{"**"}, Resources: []string{"**"}, Prompts: []string{"**"}}}
	})
	w := &walker{rig: r}
	for role, token := range map[string]*string{"guest": &w.guest, "owner": &w.owner} {
		text, _, err := server.Keys(r.Server).Create(t.Context(), auth.NewKey{Label: "walk", Subject: role, Roles: []string{role}, Expires: time.Now().Add(30 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		*token = text
	}
	return w
}

// http makes a request and returns its answer. Of one that does not end it is
// what came until then.
func (w *walker) http(t *testing.T, method, path, token string, h http.Header, body string) (status int, header http.Header, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, h)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		defer time.AfterFunc(time.Second, cancel).Stop() // Enough for what is refused, or told at once.
	}
	b, err := io.ReadAll(res.Body)
	if err != nil && ctx.Err() == nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, res.Header, string(b)
}

// A step is one thing that is served, and how it is asked for.
type step struct {
	name string
	by   string // who has to refuse the guest: "policy", or a door for what never becomes a call
	ask  func(t *testing.T, token string) answer
}

// walk takes every step. Without a token all are refused but those that are
// public; the guest is refused, on record, but for those that are open; and
// neither sees anything of the sesame.
func (w *walker) walk(t *testing.T, steps []step, public, open []string) {
	t.Helper()
	var gotPublic, gotOpen []string
	refusals := 0
	for _, s := range steps {
		a := s.ask(t, "")
		if !a.unknown { // What is refused here is for everybody alike, and no matter of record.
			gotPublic = append(gotPublic, s.name)
			if withoutRequest(a.text) {
				t.Errorf("%s tells nobody of the sesame: %s", s.name, a.text)
			}
			continue
		}
		refusals++
		a = s.ask(t, w.guest)
		if withoutRequest(a.text) {
			t.Errorf("%s tells the guest of the sesame: %s", s.name, a.text)
		}
		if a.unknown {
			t.Errorf("%s does not know the guest: %s", s.name, a.text)
		}
		if a.code == "" {
			gotOpen = append(gotOpen, s.name)
			continue
		}
		if r := w.refusal(t, s.name); s.by != "" && r.By != s.by {
			t.Errorf("%s was refused by %s, want %s: %+v, %s", s.name, r.By, s.by, r, a.text)
		}
	}
	for _, s := range []struct {
		who       string
		want, got []string
	}{{"without a token", public, gotPublic}, {"to the guest", open, gotOpen}} {
		slices.Sort(s.want)
		slices.Sort(s.got)
		if diff := cmp.Diff(s.want, slices.Compact(s.got)); diff != "" {
			t.Errorf("what is open %s (-want +got):\n%s", s.who, diff)
		}
	}
	w.refusedAtTheDoor(t, refusals)
}

// withoutRequest reports whether a text names the sesame otherwise than a
// refusal names what was asked for.
func withoutRequest(text string) bool {
	return strings.Contains(strings.NewReplacer(`sesame.thing`, "", `sesame_thing`, "", `sesame://thing`, "").Replace(text), sesame)
}

// refusal waits for the record of a refusal that is newer than what was looked
// at.
func (w *walker) refusal(t *testing.T, what string) (found audit.Record) {
	t.Helper()
	late := time.Now().Add(30 * time.Second)
	for found.Seq == 0 {
		for rec, err := range audit.Tail(t.Context(), w.config.AuditDir(), 50, false) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Seq > w.seen && rec.Type == audit.TypeCall && rec.Code != "OK" && rec.Principal.Name != "" {
				found = rec
			}
		}
		if found.Seq == 0 && time.Now().After(late) {
			t.Fatalf("%s: the refusal is not on record", what)
		}
	}
	w.seen = found.Seq
	return found
}

// refusedAtTheDoor waits until so many refusals at the Door are on record, one by
// one or counted.
func (w *walker) refusedAtTheDoor(t *testing.T, want int) {
	t.Helper()
	poll(t, func() bool {
		n := 0
		for rec, err := range audit.Tail(t.Context(), w.config.AuditDir(), -1, false) {
			if err != nil {
				t.Fatal(err)
			}
			more := 1
			if rec.Type == "door" {
				if strings.HasSuffix(rec.Detail, "more refusals") {
					_, _ = fmt.Sscanf(rec.Detail, "%d", &more) // Else it counts as one.
				}
				n += more
			}
		}
		return n >= want
	})
}
