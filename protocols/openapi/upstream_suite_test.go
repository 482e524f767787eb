package openapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/openapi"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// TestUpstream holds a service with the fixture's tools against the contract.
func TestUpstream(t *testing.T) {
	gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream {
		service := &fixture{}
		srv := httptest.NewServer(service)
		t.Cleanup(srv.Close)
		return upstream(t, openapi.Options{
			Name: "suite", Document: srv.URL + "/openapi.json", AllowPrivate: loopback, Refresh: 20 * time.Millisecond,
		})
	}, gatewaytest.LacksPrompts, gatewaytest.LacksResources, gatewaytest.LacksContent, gatewaytest.LacksRefusals,
		gatewaytest.LacksArguments, gatewaytest.LacksTotals)
}

// upstream opens an upstream that is closed with the test.
func upstream(t *testing.T, o openapi.Options) *openapi.Upstream {
	t.Helper()
	u, err := openapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return u
}

// A fixture is a service with the tools of gatewaytest.
type fixture struct{ grown atomic.Bool }

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var in struct {
		Text string `json:"text"`
		A, B int64
		To   int `json:"to"`
	}
	_ = json.Unmarshal(body, &in) // Not every request has a body.
	switch r.URL.Path {
	case "/openapi.json":
		w.Header().Set("Etag", fmt.Sprint(`"`, f.grown.Load(), `"`))
		if r.Header.Get("If-None-Match") == w.Header().Get("Etag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, f.document())
	case "/echo":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, in.Text)
	case "/add":
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"sum":%d}`, in.A+in.B)
	case "/exact":
		w.Header().Set("Content-Type", "application/json")
		res := gateway.Result{Raw: json.RawMessage(gatewaytest.ExactResult)}
		parts, _ := res.Parts()
		_, _ = w.Write(parts.Structured)
	case "/fail":
		http.Error(w, gatewaytest.FailText, http.StatusUnprocessableEntity)
	case "/refuse":
		http.Error(w, gatewaytest.RefuseText, http.StatusConflict)
	case "/count":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 1; i <= in.To; i++ {
			_, _ = fmt.Fprintf(w, "event: step\ndata: step %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	case "/wait":
		<-r.Context().Done()
	case "/grow":
		f.grown.Store(true)
		w.WriteHeader(http.StatusNoContent)
	case "/grown":
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "yes")
	case "/touch":
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func (f *fixture) document() string {
	schemas := map[string]string{
		"echo":  `{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`,
		"add":   `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}`,
		"count": `{"type":"object","properties":{"to":{"type":"integer"}}}`,
	}
	names := []string{"echo", "add", "exact", "fail", "refuse", "count", "wait", "grow", "touch"}
	if f.grown.Load() {
		names = append(names, "grown")
	}
	var paths []string
	for _, name := range names {
		schema := schemas[name]
		if schema == "" {
			schema = `{"type":"object"}`
		}
		paths = append(paths, fmt.Sprintf(`"/%s":{"post":{"operationId":%q,"description":"The tool.","requestBody":{"required":true,"content":{
			"application/json":{"schema":{"$ref":"#/components/schemas/in"}}}},"responses":{}},
			"parameters":[]}`, name, name))
		paths[len(paths)-1] = strings.Replace(paths[len(paths)-1], `{"$ref":"#/components/schemas/in"}`, schema, 1)
	}
	return `{"openapi":"3.1.0","info":{"title":"fixture","version":"1"},"paths":{` + strings.Join(paths, ",") + `}}`
}
