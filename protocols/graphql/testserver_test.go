package graphql

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve opens the frontend on a loopback port, with GraphiQL below it, as alice.
func (f *fixture) serve(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/graphql", f.as(alice()))
	mux.Handle("/open", f.as(nil)) // As the door lets pass an upgrade without a credential.
	mux.Handle("/graphql/ui/", f.UI())
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = f.Close()
		s.Close()
	})
	return s
}
