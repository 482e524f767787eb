package mcp_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A testStore is a store that fails on demand, of its own or in front of another.
type testStore struct {
	mu       sync.Mutex
	records  map[string][]byte
	next     *testStore
	readOnly bool
	err      error
}

func (s *testStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// at returns the store that holds the records, locked.
func (s *testStore) at() (*testStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.next != nil {
		return s.next, nil
	}
	return s, nil
}

func (s *testStore) Create(_ context.Context, key string, record []byte, _ time.Time) error {
	to, err := s.at()
	if err != nil {
		return err
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.records[key] != nil {
		return errors.New("held")
	}
	to.records[key] = record
	return nil
}

func (s *testStore) Update(_ context.Context, key string, record []byte, _ time.Time) error {
	to, err := s.at()
	if err != nil || s.readOnly {
		return err
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	to.records[key] = record
	return nil
}

func (s *testStore) Get(_ context.Context, key string) ([]byte, error) {
	to, err := s.at()
	if err != nil {
		return nil, err
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.records[key] == nil {
		return nil, mcp.ErrTaskNotFound
	}
	return to.records[key], nil
}

func (s *testStore) Delete(_ context.Context, key string) error {
	to, err := s.at()
	if err != nil {
		return err
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	delete(to.records, key)
	return nil
}

func (s *testStore) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// count returns how often a text stands in the records.
func (s *testStore) count(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		n += bytes.Count(r, []byte(text))
	}
	return n
}

// all returns what the store holds, as text.
func (s *testStore) all() (records []string) {
	for _, r := range s.copied() {
		records = append(records, string(r))
	}
	return records
}

// copied returns the records as they are now.
func (s *testStore) copied() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records)
}
