package mcp

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrTaskNotFound is what a [TaskStore] returns for a key that it does not hold.
var ErrTaskNotFound = errors.New("task not found")

// A TaskStore keeps the records of tasks under keys of 43 letters, digits, '-'
// and '_', which tell nothing of a task's id or owner. A record is a JSON object
// of at most [TaskOptions.ResultBytes] and some kilobytes; the store keeps it
// byte for byte. After expires, a store may forget it. A call returns when the
// record is as durable as the store makes it. Safe for concurrent use; the
// caller does not change record after the call, and nor does the store.
type TaskStore interface {
	// Create fails where the key is held.
	Create(ctx context.Context, key string, record []byte, expires time.Time) error
	// Update writes the record, whatever was there.
	Update(ctx context.Context, key string, record []byte, expires time.Time) error
	// Get returns ErrTaskNotFound where the key is not held.
	Get(ctx context.Context, key string) ([]byte, error)
	// Delete succeeds where the key is not held.
	Delete(ctx context.Context, key string) error
}

// taskMemory is a TaskStore that ends with the process.
type taskMemory struct {
	mu      sync.Mutex
	records map[string]*memoryRecord
}

type memoryRecord struct {
	data   []byte
	forget *time.Timer
}

func newTaskMemory() *taskMemory { return &taskMemory{records: map[string]*memoryRecord{}} }

func (m *taskMemory) Create(_ context.Context, key string, record []byte, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key] != nil {
		return errors.New("the key is held")
	}
	m.put(key, record, expires)
	return nil
}

func (m *taskMemory) Update(_ context.Context, key string, record []byte, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
	m.put(key, record, expires)
	return nil
}

func (m *taskMemory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[key]; r != nil {
		return r.data, nil
	}
	return nil, ErrTaskNotFound
}

func (m *taskMemory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
	return nil
}

// put writes a record under a free key. m.mu is held.
func (m *taskMemory) put(key string, data []byte, expires time.Time) {
	r := &memoryRecord{data: data}
	r.forget = time.AfterFunc(time.Until(expires), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.records[key] == r {
			delete(m.records, key)
		}
	})
	m.records[key] = r
}

// drop frees a key. m.mu is held.
func (m *taskMemory) drop(key string) {
	if r := m.records[key]; r != nil {
		r.forget.Stop()
		delete(m.records, key)
	}
}
