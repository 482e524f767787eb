package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// shops starts the two releases of the service of examples/canary, and sets MAIN
// and NEXT to their addresses. The new one breaks when it is told to, with GET
// /break, and is repaired with GET /repair.
func shops(ts *testscript.TestScript, _ bool, _ []string) {
	for release, variable := range map[string]string{"1.0": "MAIN", "2.0": "NEXT"} {
		var broken atomic.Bool
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/break" || r.URL.Path == "/repair":
				broken.Store(r.URL.Path == "/break")
			case broken.Load():
				http.Error(w, "out of order", http.StatusInternalServerError)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"release":%q,"item":%q}`, release, strings.TrimPrefix(r.URL.Path, "/items/"))
			}
		}))
		ts.Defer(s.Close)
		ts.Setenv(variable, strings.TrimPrefix(s.URL, "http://"))
	}
}

// times runs a command of the script so many times.
func times(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	if args[1] != "http" {
		ts.Fatalf("usage: times N http …")
	}
	for range n {
		send(ts, neg, args[2:])
	}
}

// tell asks a server of the example for something.
func tell(ts *testscript.TestScript, _ bool, args []string) {
	res, err := http.Get("http://" + args[0] + args[1])
	ts.Check(err)
	ts.Check(res.Body.Close())
}
