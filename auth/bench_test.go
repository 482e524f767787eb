package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCachedTokenAllocations bounds what a request with a known token costs.
func TestCachedTokenAllocations(t *testing.T) {
	i := newIDP()
	v := i.open(t)
	ctx := t.Context()
	token := i.sign("RS256", good(nil), nil)
	if len(token) > 2048 {
		t.Fatalf("token of %d bytes is not of usual size", len(token))
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := v.plain(ctx, token); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a cached token costs %v allocations, want none", n)
	}

	var log attempts
	o := doorOptions(&log)
	o.Auth = v
	h := must(NewDoor(o)).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("POST", "http://127.0.0.1/mcp", nil)
	w := httptest.NewRecorder()
	value := []string{"Bearer " + token}
	if n := testing.AllocsPerRun(1000, func() {
		r.Header["Authorization"] = value
		h.ServeHTTP(w, r)
	}); n > 2 { // The context's value and the request that carries it.
		t.Errorf("the door costs %v allocations, want at most 2", n)
	}
	if w.Code != http.StatusOK || len(log.take()) > 0 {
		t.Error("the door refused")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	i := newIDP()
	v := i.open(b)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		token := i.sign(alg, good(nil), nil)
		b.Run(alg+"/cold", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.cache = cache{}
				if _, err := v.plain(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/cached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.plain(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDoor(b *testing.B) {
	i := newIDP()
	var log attempts
	o := doorOptions(&log)
	o.Auth = i.open(b)
	h := must(NewDoor(o)).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("POST", "http://127.0.0.1/mcp", nil)
	w := httptest.NewRecorder()
	value := []string{"Bearer " + i.sign("RS256", good(nil), nil)}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = value
		h.ServeHTTP(w, r)
	}
}
