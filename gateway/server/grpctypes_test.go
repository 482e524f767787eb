package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestRestoreProtoLock: the lock of a source is put back where nothing that it has given is lost by that, also before
// there is such a source.
func TestRestoreProtoLock(t *testing.T) {
	r := start(t, nil, withPolicy(t, "p, role:dev, *, admin/sources, admin, allow\np, role:dev, *, admin/sources, read, allow\n"))
	restore := func(source, lock string) (int, string) {
		return r.send(t, "dev", http.MethodPut, "/admin/v1/proto-locks/"+source, http.Header{"Content-Type": {"application/json"}}, `{"lock":`+lock+`}`)
	}
	lock := func(fields string) string {
		return `{"format":1,"source":"late","package":"trilith.late.v1","methods":{"tool/t":"T"},"messages":{"TRequest":{"fields":{` + fields + `},"next":3}}}`
	}
	const one, two = `"a":[{"number":1,"kind":"string","name":"a"}]`, `"a":[{"number":1,"kind":"string","name":"a"}],"b":[{"number":2,"kind":"string","name":"b"}]`
	for _, c := range []struct {
		lock string
		code int
		says string
	}{
		{lock(one), http.StatusOK, "{}"},
		{lock(two), http.StatusOK, "{}"},
		{lock(two), http.StatusOK, "{}"},
		{lock(one), http.StatusBadRequest, "FAILED_PRECONDITION"},
		{lock(`"a":[{"number":1,"kind":"int64","name":"a"}]`), http.StatusBadRequest, "FAILED_PRECONDITION"},
		{lock(`"a":[{"number":7,"kind":"string","name":"a"}]`), http.StatusBadRequest, "INVALID_ARGUMENT"},
		{strings.Replace(lock(two), `"late"`, `"other"`, 1), http.StatusBadRequest, "INVALID_ARGUMENT"},
		{`{}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{`7`, http.StatusBadRequest, "INVALID_ARGUMENT"},
	} {
		if code, body := restore("late", c.lock); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.lock, code, body)
		}
	}
	if code, body := r.send(t, "dev", http.MethodGet, "/admin/v1/proto-locks/late", nil, ""); code != http.StatusOK || !strings.Contains(body, `"b":[{"number":2`) {
		t.Errorf("the lock is %d %s", code, body)
	}
	if code, body := r.send(t, "guest", http.MethodGet, "/admin/v1/proto-locks/late", nil, ""); code == http.StatusOK {
		t.Errorf("a guest gets %s", body)
	}
}
