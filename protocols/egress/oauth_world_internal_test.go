package egress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	resourceURL = "https://tools.example.com/mcp"
	issuerURL   = "https://id.example.com"
	idpURL      = "https://idp.example.com"
	theSecret   = "s3cr3t/+ value"
)

// A fakeWorld is the network that a token source sees: a resource's metadata,
// an authorization server's, and its token endpoint.
type fakeWorld struct {
	resource map[string]any
	server   map[string]any
	token    func(form url.Values, req *http.Request) (int, string)
	slow     time.Duration                                          // of the token endpoint
	idp      func(form url.Values, req *http.Request) (int, string) // the token endpoint of an identity provider

	mu    sync.Mutex
	paths []string
	forms []url.Values
}

func newWorld() *fakeWorld {
	w := &fakeWorld{
		resource: map[string]any{"resource": resourceURL, "authorization_servers": []string{issuerURL}},
		server:   map[string]any{"issuer": issuerURL, "token_endpoint": issuerURL + "/token"},
	}
	w.token = func(url.Values, *http.Request) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, w.asked())
	}
	return w
}

// asked returns how many tokens have been asked for.
func (w *fakeWorld) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.forms)
}

func (w *fakeWorld) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.paths = append(w.paths, req.URL.Host+req.URL.Path)
	w.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
		}, nil
	}
	document := func(v map[string]any) (*http.Response, error) {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return answer(200, string(data))
	}
	switch req.URL.Host + req.URL.Path {
	case "tools.example.com/.well-known/oauth-protected-resource/mcp", "tools.example.com/elsewhere":
		return document(w.resource)
	case "id.example.com/.well-known/openid-configuration":
		return document(w.server)
	case "idp.example.com/.well-known/openid-configuration":
		return document(map[string]any{"issuer": idpURL, "token_endpoint": idpURL + "/token"})
	case "idp.example.com/token":
		form, err := formOf(req)
		if err != nil {
			return nil, err
		}
		return answer(w.idp(form, req))
	case "id.example.com/token":
		form, err := formOf(req)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.forms = append(w.forms, form)
		w.mu.Unlock()
		if w.slow > 0 {
			select {
			case <-time.After(w.slow):
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
		}
		return answer(w.token(form, req))
	}
	return answer(404, "{}")
}

func formOf(req *http.Request) (url.Values, error) {
	data, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(data))
}

// tokensIn returns a token source in a world, and what it logs.
func tokensIn(t *testing.T, w *fakeWorld, o OAuthOptions) (*tokens, *bytes.Buffer) {
	t.Helper()
	if o.ClientID == "" {
		o.ClientID = "gateway"
	}
	if o.ClientSecret == "" && o.PrivateKey == "" && o.Assertion == nil {
		o.ClientSecret = theSecret
	}
	log := &bytes.Buffer{}
	u, err := New(Options{
		Name: "up", URL: resourceURL, OAuth: &o, Metadata: true, Timeout: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	s := u.auth.(*tokens)
	s.http = &http.Client{Transport: w}
	return s, log
}

// challenged tells the source of an answer to a request with its token.
func challenged(t *testing.T, s *tokens, status int, header string) (bool, error) {
	t.Helper()
	value, err := s.Authorization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Header: http.Header{}}
	if value != "" {
		req.Header.Set("Authorization", value)
	}
	return s.Challenged(t.Context(), req, &http.Response{StatusCode: status, Header: http.Header{"Www-Authenticate": {header}}})
}

// first obtains the first token and returns it.
func first(t *testing.T, s *tokens, header string) string {
	t.Helper()
	if again, err := challenged(t, s, 401, header); err != nil || !again {
		t.Fatalf("Challenged = %v, %v", again, err)
	}
	value, err := s.Authorization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return value
}
