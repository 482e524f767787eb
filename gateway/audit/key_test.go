package audit

import (
	"fmt"
	"sync"
	"testing"
)

// TestTenantKeys: equal arguments have equal HMACs within a tenant and across
// restarts, and different ones in two tenants, however many there are.
func TestTenantKeys(t *testing.T) {
	dir := t.TempDir()
	m, err := openKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	args, seen := []byte(`{"a":1}`), map[string]string{}
	for i := range 2 * maxTenants {
		tenant := fmt.Sprint(i)
		if i == 0 {
			tenant = ""
		}
		sum := m.of(tenant).sum(args)
		if other, dup := seen[sum]; dup {
			t.Fatalf("tenants %q and %q have the same HMAC", tenant, other)
		}
		seen[sum] = tenant
	}
	if len(m.tenants) > maxTenants {
		t.Errorf("%d tenants are kept", len(m.tenants))
	}
	var readers sync.WaitGroup
	for sum, tenant := range seen {
		readers.Go(func() {
			if again.of(tenant).sum(args) != sum || m.of(tenant).sum(args) != sum {
				t.Errorf("tenant %q has another HMAC later", tenant)
			}
		})
	}
	readers.Wait()
	if m.of("").sum(args) != m.sum(args) {
		t.Error("without a tenant it is not the log's key")
	}
}
