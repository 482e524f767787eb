package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestUnknownRoutes asks for what nothing serves: the Door stands before that
// too, and the refusal is a document and a record.
func TestUnknownRoutes(t *testing.T) {
	r := start(t, nil, nil)
	if code, _ := r.send(t, "", http.MethodGet, "/nothing", nil, ""); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	if code, body := r.send(t, "dev", http.MethodGet, "/nothing", nil, ""); code != http.StatusNotFound || !strings.Contains(body, `"NOT_FOUND"`) {
		t.Errorf("%d %s", code, body)
	}
	records := r.records(t, 2)
	if records[0].Type != "door" || records[1].Code != "NOT_FOUND" || records[1].Via != "rest" {
		t.Errorf("records %+v", records)
	}
}

// TestMetadataPreflight lets a web page ask whether it may read the metadata.
func TestMetadataPreflight(t *testing.T) {
	r := start(t, nil, nil)
	for _, path := range []string{"", "/mcp"} {
		h := http.Header{"Origin": {r.URL()}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"mcp-protocol-version"}}
		if code, body := r.send(t, "", http.MethodOptions, "/.well-known/oauth-protected-resource"+path, h, ""); code != http.StatusNoContent {
			t.Errorf("%q: %d %s", path, code, body)
		}
		if code, _ := r.send(t, "", http.MethodPost, "/.well-known/oauth-protected-resource"+path, nil, ""); code != http.StatusMethodNotAllowed {
			t.Errorf("POST %q: %d", path, code)
		}
	}
}
