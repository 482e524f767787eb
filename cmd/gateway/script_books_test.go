package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

type book struct {
	ID     int    `json:"id"`
	Title  string `json:"title"`
	Author string `json:"author"`
}

// books starts the service of examples/openapi, and sets BOOKS to its address.
func books(ts *testscript.TestScript, _ bool, _ []string) {
	all := []book{{1, "Stiller", "Max Frisch"}, {2, "Emma", "Jane Austen"}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	mux.HandleFunc("GET /v1/books", func(w http.ResponseWriter, r *http.Request) {
		found := []book{}
		for _, b := range all {
			if strings.Contains(strings.ToLower(b.Author), strings.ToLower(r.URL.Query().Get("author"))) {
				found = append(found, b)
			}
		}
		answer(w, found)
	})
	mux.HandleFunc("GET /v1/books/{id}", func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || i < 1 || i > len(all) {
			http.Error(w, "no such book", http.StatusNotFound)
			return
		}
		answer(w, all[i-1])
	})
	mux.HandleFunc("POST /v1/books/{id}/loans", func(w http.ResponseWriter, r *http.Request) {
		var loan struct {
			To string `json:"to"`
		}
		if err := json.NewDecoder(r.Body).Decode(&loan); err != nil {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		answer(w, map[string]string{"book": r.PathValue("id"), "to": loan.To})
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Books-Key") != "open sesame" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	ts.Defer(srv.Close)
	ts.Setenv("BOOKS", strings.TrimPrefix(srv.URL, "http://"))
}
