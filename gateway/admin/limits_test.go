package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/admin"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/limits"
)

// TestLimits lists rules and buckets, and sets and removes overrides.
func TestLimits(t *testing.T) {
	overrides, err := limits.OpenOverrides(t.Context(), newState(t))
	if err != nil {
		t.Fatal(err)
	}
	rate, err := config.ParseRate("3/h")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := limits.New([]config.RateLimit{{Name: "each", Per: "principal", Match: config.RateMatch{Roles: []string{"agent"}}, Rate: rate}}, limits.Options{Overrides: overrides})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"alice", "alice", "bob"} {
		if err := gate.AdmitList(t.Context(), gateway.Listing{Principal: &gateway.Principal{ID: who, Roles: []string{"agent"}}}); err != nil {
			t.Fatal(err)
		}
	}
	d := newDesk(t, admin.Options{Limits: gate, Overrides: overrides})
	for args, want := range map[string]string{
		``: `{"rules":[{"name":"each","per":"principal","roles":["agent"],"rate":"3/h","burst":"3","admitted":"3"}],"revision":"1",` +
			`"buckets":[{"rule":"each","per":"principal","key":"alice","tokens":"1","burst":"3"},{"rule":"each","per":"principal","key":"bob","tokens":"2","burst":"3"}],"total":"2"}`,
		`{"key":"bob"}`:  `{"rules":[{"name":"each","per":"principal","roles":["agent"],"rate":"3/h","burst":"3","admitted":"3"}],"revision":"1","buckets":[{"rule":"each","per":"principal","key":"bob","tokens":"2","burst":"3"}],"total":"1"}`,
		`{"pageSize":1}`: `{"rules":[{"name":"each","per":"principal","roles":["agent"],"rate":"3/h","burst":"3","admitted":"3"}],"revision":"1","buckets":[{"rule":"each","per":"principal","key":"alice","tokens":"1","burst":"3"}],"total":"2"}`,
	} {
		if got := d.ask("limits.ListLimits", args); got != want {
			t.Errorf("%s: %s", args, got)
		}
	}
	for args, want := range map[string]string{
		`{"per":"role","key":"k","rate":"5 per day","ttlSeconds":"60"}`:               "INVALID_ARGUMENT want a rate such as",
		`{"per":"role","key":"k","rate":"5/d"}`:                                       "INVALID_ARGUMENT not an override: it must expire",
		`{"per":"role","key":"k","rate":"5/d","ttlSeconds":"9223372036854775807"}`:    "INVALID_ARGUMENT not an override: it must expire",
		`{"per":"role","key":"k","rate":"5/d","ttlSeconds":"60","burst":"-1"}`:        "INVALID_ARGUMENT a burst",
		`{"per":"moon","key":"k","rate":"5/d","ttlSeconds":"60"}`:                     "INVALID_ARGUMENT not an override: per is",
		`{"per":"role","key":"k","rate":"5/d","ttlSeconds":"60","revision":"123456"}`: "ABORTED somebody else",
	} {
		if got := d.ask("limits.SetLimitOverride", args); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", args, got)
		}
	}
	var set struct {
		Override map[string]any
		Revision string
	}
	if err := json.Unmarshal([]byte(d.ask("limits.SetLimitOverride", `{"per":"role","key":"k","rate":"5/d","ttlSeconds":"60","reason":"why"}`)), &set); err != nil {
		t.Fatal(err)
	}
	if set.Override["createdBy"] != "test|user|root" || set.Override["burst"] != "5" || set.Override["reason"] != "why" || set.Override["expires"] == nil {
		t.Errorf("set %+v", set)
	}
	if got := d.ask("limits.ListLimits", ``); !strings.Contains(got, `"overrides":[{"per":"role","key":"k","rate":"5/d"`) || !strings.Contains(got, `"revision":"`+set.Revision+`"`) {
		t.Errorf("listed %s", got)
	}
	if got := d.ask("limits.RemoveLimitOverride", `{"per":"role","key":"other"}`); !strings.HasPrefix(got, "NOT_FOUND") {
		t.Errorf("removing nothing: %s", got)
	}
	if got := d.ask("limits.RemoveLimitOverride", `{"per":"role","key":"k","revision":"`+set.Revision+`"}`); !strings.HasPrefix(got, `{"revision":`) {
		t.Errorf("removing: %s", got)
	}
}
