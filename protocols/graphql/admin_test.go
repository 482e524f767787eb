package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// An administered is a gateway of administration that answers every method of admin.v1 as a test says, and notes
// what it was called with.
type administered struct {
	*gateway.Gateway
	mu      sync.Mutex
	calls   map[string]string // the arguments by tool
	answers map[string]string // the structured content by tool; {} where there is none
	refuse  *gateway.Error
}

func newAdministered(t *testing.T, answers map[string]string) *administered {
	t.Helper()
	a := &administered{calls: map[string]string{}, answers: answers}
	f, r := &gateway.Funcs{}, &gateway.Registry{}
	for _, s := range adminv1.Services() {
		for i := range s.Methods().Len() {
			tool := adminv1.Tool(s.Methods().Get(i))
			if err := f.AddTool(json.RawMessage(`{"name":"`+tool+`","inputSchema":{"type":"object"}}`), a.answer); err != nil {
				t.Fatal(err)
			}
		}
	}
	for c, err := range f.Watch(t.Context()) {
		if err == nil {
			err = r.Attach("admin", f, c, gateway.Options{Admin: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	var err error
	if a.Gateway, err = gateway.New(r, nil, nil); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *administered) answer(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
	a.mu.Lock()
	a.calls[c.Name] = fmt.Sprintf("%s %s %s %s", c.Op, c.Via, c.Principal.Name, c.Args)
	answer := a.answers[c.Name]
	a.mu.Unlock()
	switch {
	case a.refuse != nil:
		return nil, a.refuse
	case c.Name == "audit.TailRecords":
		for n := range 5 {
			if err := c.Feed(ctx, gateway.LogMessage{Data: json.RawMessage(fmt.Sprintf(`{"seq":%d}`, 9007199254740990+n))}, int64(n)); err != nil {
				return nil, err
			}
		}
		if err := c.Feed(ctx, gateway.LogMessage{Data: json.RawMessage(`{`)}, 0); err != nil {
			return nil, err
		}
		return nil, &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "no longer"}
	case c.Name == "traffic.WatchTraffic":
		c.Log(gateway.LogMessage{Data: json.RawMessage(`{`)})
		c.Log(gateway.LogMessage{Data: json.RawMessage(`{"traffic":{"seconds":2,"total":{"calls":"9"}}}`)})
		return nil, &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "no longer"}
	case c.Name == "sources.WatchSources":
		c.Log(gateway.LogMessage{Data: json.RawMessage(`{`)})
		c.Log(gateway.LogMessage{Data: json.RawMessage(`{"sources":[{"name":"a","kind":"mcp","endpoints":[{"address":"http://b"}]}]}`)})
		return nil, &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "no longer"}
	case answer == "":
		answer = "{}"
	}
	return gateway.NewResult(json.RawMessage(`{"content":[],"structuredContent":` + answer + `}`))
}

const (
	adminQuery = `{admin{
 policy{id parent sha256 author comment activated activatedBy active csv checks restores}
 policyVersions(first:3,after:"p"){nodes{id activated} endCursor}
 policyVersion(id:9007199254740991){id}
 diffPolicy(from:1,draft:"d"){added removed}
 policyDrafts{id revision base changed}
 policyDraft(id:"d"){csv checks author comment}
 lintPolicy(csv:"p"){line column message hint warning}
 testPolicy(draft:"d",checks:"c"){failures{line text reason} checks problems{message}}
 policyImpact(draft:"d",days:3){changes{principal principalName object action before after beforeRule afterRule calls last examples} calls changed undecided truncated}
 explainPolicy(who:{subjects:["role:dev"],tenant:"t"},object:"tool/a/b",action:"call",arguments:{n:12345678901234567890},via:"mcp"){allowed reason rule line path nearMisses{rule line difference}}
 permissions(who:{principal:"i|user|a"}){object action rule line path conditional}
 grantees(object:"tool/a/b",action:"call"){nodes{subject tenant rule line conditional path} truncated}
 keys{id subject label groups roles scopes tenant createdBy created expires lastUsed revoked}
 sessions(principal:"i|user|a"){nodes{id node via kind principal principalName opened} totalCount missingNodes}
 traffic(seconds:5){time seconds total{name calls toolErrors refused failed canceled p50Ms p99Ms} doors{name} sources{name} exceeded{limit count}}
 importNotes(source:"s",first:4,after:"p",change:"renamed"){nodes{subject change reason} endCursor total}
 protoLock(source:"s")
 connections(principal:"p",source:"s"){nodes{principal tenant source since} totalCount}
 limits(first:5,key:"k"){rules{name per roles tools sources actions rate burst admitted refused} overrides{per key rate burst unlimited expires created createdBy reason} revision buckets{rule per key tokens burst retryMs} totalCount}
 pins(first:4,after:"p",source:"s",state:"changed"){nodes{id source kind name state served hash approvedHash since decidedBy decided hidden} endCursor}
 pin(id:"i"){id changes{path old new} definition approvedDefinition}
 auditRecords(first:2,after:"p",filter:{from:"2026-01-02T00:00:00Z",to:"2026-01-03T00:00:00.5Z",principal:"a",object:"b",op:"c",via:"d",code:"e",by:"f",type:"g",trace:"h",id:"i",rule:"j",tenant:"k",source:"l",policy:"m",session:"n"},oldestFirst:true){nodes endCursor}
 auditProof(seq:4294967296){record checkpoint index size hashes}
 verifyAuditLog{ok records problem}
}}`
	adminSources  = `{admin{sources{name available problem tools resources prompts quarantined hidden guard{breaker opened refused running queued limit rejected retries hedges fallbacks cacheHits cacheMisses cacheStale cacheJoined cacheEntries cacheBytes} pool{open busy idle spare opened lost failed expired evicted refused connectionsIdle connectionsOpened connectionsReused}} canary(source:"s"){canary{phase percent reason since stable{calls failed latencyMs} canary{calls}} endpoints{name role weight present ejectedUntil running calls failed latencyMs}}}}` // By itself, as all of it costs too much.
	adminMutation = `mutation{
 createPolicyDraft(comment:"c"){id revision}
 savePolicyDraft(id:"d",revision:7,csv:"p",comment:"",rebase:true){draft{id revision} problems{message} failures{text}}
 discardPolicyDraft(id:"d",revision:8)
 activatePolicy(id:"d",revision:9){id active}
 rollbackPolicy(to:1,active:2){id restores}
 createKey(subject:"s",ttlSeconds:3600,label:"l",groups:["g"],roles:["r"],scopes:["x"],tenant:"t"){key{id} secret}
 revokeKey(id:"k")
 endSession(id:"s")
 endConnection(principal:"p",source:"s",tenant:"t"){revoked}
 setLimitOverride(per:"role",key:"k",rate:"5/m",burst:7,ttlSeconds:60,reason:"r",revision:3){override{per} revision}
 removeLimitOverride(per:"role",key:"k",revision:4)
 approvePin(id:"i",hash:"h",allowHidden:true)
 rejectPin(id:"i",hash:"h")
 restoreProtoLock(source:"s",lock:"{}")
 shiftCanary(source:"s",percent:10){percent}
 promoteCanary(source:"s"){phase}
 abortCanary(source:"s",reason:"r"){phase reason}
 revokeCredentials(tokenId:"j",issuer:"i",reason:"r"){ended}
}`
	adminSubscription = `subscription{auditRecords(filter:{via:"mcp"}){record dropped}}`
)

// TestAdministration asks for every field of administration: each makes the call of its method, and together they
// make the calls of all methods.
func TestAdministration(t *testing.T) {
	a := newAdministered(t, map[string]string{
		"policy.GetPolicy":           `{"policy":{"id":"9007199254740991","sha256":"ab","activated":"2026-01-02T03:04:05.5Z","active":true,"csv":"p, a\n"}}`,
		"policy.ListPolicyVersions":  `{"versions":[{"id":"2"},{"id":"1"}],"nextPageToken":"q"}`,
		"policy.CreatePolicyDraft":   `{"draft":{"id":"d","revision":"7"}}`,
		"policy.SavePolicyDraft":     `{"draft":{"id":"d","revision":"8"},"problems":[{"message":"m"}]}`,
		"policy.GetPolicyImpact":     `{"changes":[{"principal":"p","calls":"3","last":"2026-01-02T03:04:05Z","examples":["e"]}],"calls":"5000000000"}`,
		"policy.ExplainPolicy":       `{"reason":"no rule","path":["role:dev"],"nearMisses":[{"rule":"p","line":3,"difference":"tenant"}]}`,
		"policy.ListGrantees":        `{"grantees":[{"subject":"role:dev"}],"truncated":true}`,
		"keys.CreateKey":             `{"key":{"id":"k"},"secret":"s"}`,
		"keys.ListKeys":              `{"keys":[{"id":"k","created":"2026-01-02T03:04:05Z"}]}`,
		"sessions.ListSessions":      `{"sessions":[{"id":"s"}],"total":"1","missingNodes":["n2"]}`,
		"traffic.GetTraffic":         `{"traffic":{"time":"2026-01-02T03:04:05Z","seconds":5,"total":{"calls":"7","toolErrors":"1","refused":"2","failed":"3","canceled":"4","p50Ms":0.5,"p99Ms":9},"doors":[{"name":"mcp"}],"exceeded":[{"limit":"depth","count":"6"}]}}`,
		"sources.ListSources":        `{"sources":[{"name":"s","guard":{"breaker":"open","opened":"9007199254740991","limit":3}}]}`,
		"sources.ListImportNotes":    `{"notes":[{"subject":"tool a","change":"renamed","reason":"r"}],"nextPageToken":"4","total":9}`,
		"sources.GetProtoLock":       `{"lockJson":"{\"format\":1}"}`,
		"sources.GetCanary":          `{"canary":{"phase":"running","percent":5,"stable":{"calls":"7","latencyMs":1.5}},"endpoints":[{"name":"main","role":"stable","weight":100,"present":true,"calls":"7"}]}`,
		"sources.ShiftCanary":        `{"canary":{"percent":10}}`,
		"sources.AbortCanary":        `{"canary":{"phase":"aborted","reason":"r"}}`,
		"limits.ListLimits":          `{"rules":[{"name":"n","rate":"1/s","burst":"1"}],"revision":"9","buckets":[{"key":"k","retryMs":"1500"}],"total":"1"}`,
		"limits.SetLimitOverride":    `{"override":{"per":"role"},"revision":"10"}`,
		"limits.RemoveLimitOverride": `{"revision":"11"}`,
		"sources.ListPins":           `{"pins":[{"id":"i","hash":"h","served":true,"hidden":["x"]}],"nextPageToken":"i"}`,
		"sources.GetPin":             `{"pin":{"id":"i","changes":[{"path":"title","new":"T"}],"definitionJson":"{}"}}`,
		"audit.ListRecords":          `{"recordsJson":["{\"seq\":12345678901234567890}"]}`,
		"audit.GetProof":             `{"recordJson":"{\"seq\":1}","index":"4294967295","hashes":["aGk="]}`,
		"audit.VerifyLog":            `{"ok":true,"records":"7"}`,
	})
	f := newFixture(t, Options{Admin: a.Gateway})
	s := f.serve(t)
	got := map[string]json.RawMessage{}
	for _, query := range []string{adminQuery, adminSources, adminMutation} {
		var res struct {
			Errors json.RawMessage
			Data   map[string]json.RawMessage
		}
		answer := f.run(t, query)
		if err := json.Unmarshal([]byte(answer), &res); err != nil || res.Errors != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		maps.Copy(got, res.Data)
		if admin := res.Data["admin"]; admin != nil {
			if err := json.Unmarshal(admin, &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	for field, want := range map[string]string{
		"policy":         `{"id":9007199254740991,"parent":0,"sha256":"ab","author":"","comment":"","activated":"2026-01-02T03:04:05.5Z","activatedBy":"","active":true,"csv":"p, a\n","checks":"","restores":0}`,
		"policyVersions": `{"nodes":[{"id":2,"activated":null},{"id":1,"activated":null}],"endCursor":"q"}`,
		"policyVersion":  `null`,
		"diffPolicy":     `{"added":[],"removed":[]}`,
		"policyDrafts":   `[]`,
		"policyImpact":   `{"changes":[{"principal":"p","principalName":"","object":"","action":"","before":"","after":"","beforeRule":"","afterRule":"","calls":3,"last":"2026-01-02T03:04:05Z","examples":["e"]}],"calls":5000000000,"changed":0,"undecided":0,"truncated":false}`,
		"explainPolicy":  `{"allowed":false,"reason":"no rule","rule":"","line":0,"path":["role:dev"],"nearMisses":[{"rule":"p","line":3,"difference":"tenant"}]}`,
		"grantees":       `{"nodes":[{"subject":"role:dev","tenant":"","rule":"","line":0,"conditional":false,"path":[]}],"truncated":true}`,
		"keys":           `[{"id":"k","subject":"","label":"","groups":[],"roles":[],"scopes":[],"tenant":"","createdBy":"","created":"2026-01-02T03:04:05Z","expires":null,"lastUsed":null,"revoked":null}]`,
		"sessions":       `{"nodes":[{"id":"s","node":"","via":"","kind":"","principal":"","principalName":"","opened":null}],"totalCount":1,"missingNodes":["n2"]}`,
		"sources": `[{"name":"s","available":false,"problem":"","tools":0,"resources":0,"prompts":0,"quarantined":0,"hidden":[],` +
			`"guard":{"breaker":"open","opened":9007199254740991,"refused":0,"running":0,"queued":0,"limit":3,"rejected":0,"retries":0,"hedges":0,"fallbacks":0,` +
			`"cacheHits":0,"cacheMisses":0,"cacheStale":0,"cacheJoined":0,"cacheEntries":0,"cacheBytes":0},"pool":null}]`,
		"auditRecords":        `{"nodes":[{"seq":12345678901234567890}],"endCursor":null}`,
		"auditProof":          `{"record":"{\"seq\":1}","checkpoint":"","index":4294967295,"size":0,"hashes":["aGk="]}`,
		"verifyAuditLog":      `{"ok":true,"records":7,"problem":""}`,
		"savePolicyDraft":     `{"draft":{"id":"d","revision":8},"problems":[{"message":"m"}],"failures":[]}`,
		"limits":              `{"rules":[{"name":"n","per":"","roles":[],"tools":[],"sources":[],"actions":[],"rate":"1/s","burst":1,"admitted":0,"refused":0}],"overrides":[],"revision":9,"buckets":[{"rule":"","per":"","key":"k","tokens":0,"burst":0,"retryMs":1500}],"totalCount":1}`,
		"setLimitOverride":    `{"override":{"per":"role"},"revision":10}`,
		"removeLimitOverride": `11`,
		"createKey":           `{"key":{"id":"k"},"secret":"s"}`,
		"revokeKey":           `"k"`,
		"approvePin":          `"i"`,
		"protoLock":           `"{\"format\":1}"`,
		"restoreProtoLock":    `"s"`,
		"canary": `{"canary":{"phase":"running","percent":5,"reason":"","since":null,"stable":{"calls":7,"failed":0,"latencyMs":1.5},"canary":null},` +
			`"endpoints":[{"name":"main","role":"stable","weight":100,"present":true,"ejectedUntil":null,"running":0,"calls":7,"failed":0,"latencyMs":0}]}`,
		"shiftCanary":       `{"percent":10}`,
		"abortCanary":       `{"phase":"aborted","reason":"r"}`,
		"traffic":           `{"time":"2026-01-02T03:04:05Z","seconds":5,"total":{"name":"","calls":7,"toolErrors":1,"refused":2,"failed":3,"canceled":4,"p50Ms":0.5,"p99Ms":9},"doors":[{"name":"mcp"}],"sources":[],"exceeded":[{"limit":"depth","count":6}]}`,
		"importNotes":       `{"nodes":[{"subject":"tool a","change":"renamed","reason":"r"}],"endCursor":"4","total":9}`,
		"pins":              `{"nodes":[{"id":"i","source":"","kind":"","name":"","state":"","served":true,"hash":"h","approvedHash":"","since":null,"decidedBy":"","decided":null,"hidden":["x"]}],"endCursor":"i"}`,
		"pin":               `{"id":"i","changes":[{"path":"title","old":"","new":"T"}],"definition":"{}","approvedDefinition":""}`,
		"revokeCredentials": `{"ended":0}`,
	} {
		if diff := cmp.Diff(want, string(got[field])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
	events := f.open(t, s, adminSubscription).all()
	if len(events) != 7 || events[0].data != `{"data":{"auditRecords":{"record":{"seq":9007199254740990},"dropped":0}}}` ||
		events[4].data != `{"data":{"auditRecords":{"record":{"seq":9007199254740994},"dropped":10}}}` || !strings.Contains(events[5].data, `"PERMISSION_DENIED"`) {
		t.Errorf("the records are %v", events)
	}
	told := f.open(t, s, `subscription{traffic(seconds:2){seconds total{calls}}}`).all()
	if len(told) < 2 || told[0].data != `{"data":{"traffic":{"seconds":2,"total":{"calls":9}}}}` || !strings.Contains(told[1].data, `"PERMISSION_DENIED"`) {
		t.Errorf("traffic is %v", told)
	}
	states := f.open(t, s, `subscription{sources{name kind tags pin endpoints{address} canary{phase}}}`).all()
	if len(states) < 2 || states[0].data != `{"data":{"sources":[{"name":"a","kind":"mcp","tags":[],"pin":"","endpoints":[{"address":"http://b"}],"canary":null}]}}` || !strings.Contains(states[1].data, `"PERMISSION_DENIED"`) {
		t.Errorf("the sources are %v", states)
	}
	want := map[string]string{
		"policy.GetPolicy":           `{}`,
		"policy.ListPolicyVersions":  `{"pageSize":3,"pageToken":"p"}`,
		"policy.GetPolicyVersion":    `{"id":"9007199254740991"}`,
		"policy.DiffPolicy":          `{"from":"1","draft":"d"}`,
		"policy.ListPolicyDrafts":    `{}`,
		"policy.GetPolicyDraft":      `{"id":"d"}`,
		"policy.CreatePolicyDraft":   `{"comment":"c"}`,
		"policy.SavePolicyDraft":     `{"id":"d","revision":"7","csv":"p","comment":"","rebase":true}`,
		"policy.DiscardPolicyDraft":  `{"id":"d","revision":"8"}`,
		"policy.ActivatePolicy":      `{"id":"d","revision":"9"}`,
		"policy.RollbackPolicy":      `{"to":"1","active":"2"}`,
		"policy.LintPolicy":          `{"csv":"p"}`,
		"policy.TestPolicy":          `{"draft":"d","checks":"c"}`,
		"policy.GetPolicyImpact":     `{"draft":"d","days":3}`,
		"policy.ExplainPolicy":       `{"who":{"subjects":["role:dev"],"tenant":"t"},"object":"tool/a/b","action":"call","argumentsJson":"{\"n\":12345678901234567890}","via":"mcp"}`,
		"policy.ListPermissions":     `{"who":{"principal":"i|user|a"}}`,
		"policy.ListGrantees":        `{"object":"tool/a/b","action":"call"}`,
		"sessions.ListConnections":   `{"principal":"p","source":"s"}`,
		"sessions.EndConnection":     `{"principal":"p","source":"s","tenant":"t"}`,
		"limits.ListLimits":          `{"key":"k","pageSize":5}`,
		"limits.SetLimitOverride":    `{"per":"role","key":"k","rate":"5/m","burst":"7","ttlSeconds":"60","reason":"r","revision":"3"}`,
		"limits.RemoveLimitOverride": `{"per":"role","key":"k","revision":"4"}`,
		"keys.ListKeys":              `{}`,
		"keys.CreateKey":             `{"subject":"s","label":"l","groups":["g"],"roles":["r"],"scopes":["x"],"tenant":"t","ttlSeconds":"3600"}`,
		"keys.RevokeKey":             `{"id":"k"}`,
		"sessions.ListSessions":      `{"principal":"i|user|a"}`,
		"sessions.EndSession":        `{"id":"s"}`,
		"sessions.RevokeCredentials": `{"tokenId":"j","issuer":"i","reason":"r"}`,
		"sources.ListSources":        `{}`,
		"traffic.GetTraffic":         `{"seconds":5}`,
		"traffic.WatchTraffic":       `{"seconds":2}`,
		"sources.WatchSources":       `{}`,
		"sources.ListImportNotes":    `{"source":"s","change":"renamed","pageSize":4,"pageToken":"p"}`,
		"sources.GetCanary":          `{"source":"s"}`,
		"sources.ShiftCanary":        `{"source":"s","percent":10}`,
		"sources.PromoteCanary":      `{"source":"s"}`,
		"sources.AbortCanary":        `{"source":"s","reason":"r"}`,
		"sources.ListPins":           `{"source":"s","state":"changed","pageSize":4,"pageToken":"p"}`,
		"sources.GetPin":             `{"id":"i"}`,
		"sources.ApprovePin":         `{"id":"i","hash":"h","allowHidden":true}`,
		"sources.RejectPin":          `{"id":"i","hash":"h"}`,
		"sources.GetProtoLock":       `{"source":"s"}`,
		"sources.RestoreProtoLock":   `{"source":"s","lockJson":"{}"}`,
		"audit.ListRecords":          `{"filter":{"from":"2026-01-02T00:00:00Z","to":"2026-01-03T00:00:00.500Z","principal":"a","object":"b","op":"c","via":"d","code":"e","by":"f","type":"g","trace":"h","id":"i","rule":"j","tenant":"k","source":"l","policy":"m","session":"n"},"oldestFirst":true,"pageSize":2,"pageToken":"p"}`,
		"audit.TailRecords":          `{"filter":{"via":"mcp"}}`,
		"audit.GetProof":             `{"seq":"4294967296"}`,
		"audit.VerifyLog":            `{}`,
	}
	for _, s := range adminv1.Services() {
		for i := range s.Methods().Len() {
			if tool := adminv1.Tool(s.Methods().Get(i)); want[tool] == "" {
				t.Errorf("no field calls %s", tool)
			}
		}
	}
	for tool, args := range want {
		want[tool] = "admin graphql Alice " + args
	}
	if diff := cmp.Diff(want, a.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestAdministrationVariables gives numbers of more than 32 bits as variables.
func TestAdministrationVariables(t *testing.T) {
	a := newAdministered(t, nil)
	f := newFixture(t, Options{Admin: a.Gateway})
	const query = `query($seq:SafeInt!){admin{auditProof(seq:$seq){index}}}`
	for value, want := range map[string]string{
		`9007199254740991`: `{"data":{"admin":{"auditProof":{"index":0}}}}`,
		`9007199254740992`: `variable $seq is not a SafeInt`,
		`1e3`:              `variable $seq is not a SafeInt`,
		`1.5`:              `variable $seq is not a SafeInt`,
		`"1"`:              `variable $seq is not a SafeInt`,
		`[1]`:              `variable $seq is not a SafeInt`,
		`null`:             `GRAPHQL_VALIDATION_FAILED`,
	} {
		if got := f.run(t, query, `{"seq":`+value+`}`); !strings.Contains(got, want) {
			t.Errorf("%s: got %s", value, got)
		}
	}
	for _, value := range []string{`9007199254740992`, `"1"`, `1.0`, `[1]`, `true`} {
		if got := f.run(t, `{admin{auditProof(seq:`+value+`){index}}}`); !strings.Contains(got, `GRAPHQL_VALIDATION_FAILED`) {
			t.Errorf("%s: got %s", value, got)
		}
	}
}

// TestAdministrationFails shows the failures of administration: what a method says, what is refused before there is a
// call, and a gateway without administration.
func TestAdministrationFails(t *testing.T) {
	a := newAdministered(t, map[string]string{"audit.ListRecords": `{"recordsJson":["{}","{"]}`, "keys.ListKeys": `{"keys":5}`})
	f, none := newFixture(t, Options{Admin: a.Gateway}), newFixture(t, Options{})
	for name, c := range map[string]struct {
		f           *fixture
		query, want string
		records     []string
	}{
		"a page too long": {f, `{admin{policyVersions(first:101){endCursor}}}`, `{"errors":[{"message":"first must be 1 to 100","path":["admin","policyVersions"],"locations":[{"line":1,"column":8}],"extensions":{"code":"INVALID_ARGUMENT"}}]`, []string{
			"graphql policyVersions graphql: INVALID_ARGUMENT: first must be 1 to 100",
		}},
		"an empty page":      {f, `{admin{auditRecords(first:0){endCursor}}}`, `INVALID_ARGUMENT`, []string{"graphql auditRecords graphql: INVALID_ARGUMENT: first must be 1 to 100"}},
		"no arguments":       {f, `{admin{explainPolicy(who:{},object:"a",arguments:[]){allowed}}}`, `arguments must be an object`, []string{"graphql explainPolicy graphql: INVALID_ARGUMENT: arguments must be an object"}},
		"a broken record":    {f, `{admin{auditRecords{nodes}}}`, `{"errors":[{"message":"internal error","path":["admin","auditRecords"],"locations":[{"line":1,"column":8}],"extensions":{"code":"INTERNAL"}}],"data":{"admin":{"auditRecords":null}}`, nil},
		"a broken answer":    {f, `{admin{keys{id}}}`, `"INTERNAL"`, nil},
		"no administration":  {none, `{admin{policy{id}} viewer{name}}`, `"NOT_FOUND"}}],"data":{"admin":{"policy":null},"viewer":{"name":"Alice"}}`, []string{`graphql policy graphql: NOT_FOUND: no tool named "policy.GetPolicy"`}},
		"no changes without": {none, `mutation{revokeKey(id:"a")}`, `{"revokeKey":null}`, []string{`graphql revokeKey graphql: NOT_FOUND: no tool named "keys.RevokeKey"`}},
	} {
		got := c.f.run(t, c.query)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
		if diff := cmp.Diff(c.records, c.f.records.take()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", name, diff)
		}
	}
	events := none.open(t, none.serve(t), adminSubscription).all()
	if len(events) != 2 || !strings.Contains(events[0].data, `"path":["auditRecords"],"extensions":{"code":"NOT_FOUND"}`) {
		t.Errorf("the records of nobody are %v", events)
	}
	a.refuse = &gateway.Error{Code: gateway.Aborted, By: "admin", Msg: "somebody was faster", Err: io.EOF}
	want := `{"errors":[{"message":"somebody was faster","path":["activatePolicy"],"locations":[{"line":1,"column":10}],"extensions":{"code":"ABORTED"}}],"data":{"activatePolicy":null}}`
	if diff := cmp.Diff(want, f.run(t, `mutation{activatePolicy(id:"d",revision:1){id}}`)); diff != "" {
		t.Errorf("a failure (-want +got):\n%s", diff)
	}
}

// TestSlowTail: a slow reader of the audit log is given every record, with what was left out before it, and one who goes
// ends the call.
func TestSlowTail(t *testing.T) {
	f := newFixture(t, Options{QueueLength: 2, Admin: newAdministered(t, nil).Gateway})
	events, err := subscription{f.Frontend}.AuditRecords(withCaller(t.Context(), alice()), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range events {
		got = append(got, fmt.Sprintf("%s %d", e.Record, e.Dropped))
	}
	want := []string{
		`{"seq":9007199254740990} 0`, `{"seq":9007199254740991} 1`, `{"seq":9007199254740992} 3`,
		`{"seq":9007199254740993} 6`, `{"seq":9007199254740994} 10`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	ctx, leave := context.WithCancel(withCaller(t.Context(), alice()))
	if events, err = (subscription{f.Frontend}).AuditRecords(ctx, nil); err != nil {
		t.Fatal(err)
	}
	<-events
	leave()
	f.work.Wait() // The call is over although nobody reads.
}

// TestCostOfAdministration: every field of administration costs as much as a call, however it is asked for.
func TestCostOfAdministration(t *testing.T) {
	f := newFixture(t, Options{})
	fields := slices.Concat(f.views.base.Types["Administration"].Fields, f.views.base.Mutation.Fields)
	for _, field := range fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		args := ""
		if len(field.Arguments) > 0 {
			args = "(" + field.Arguments[0].Name + ":1)"
		}
		doc, err := parser.ParseQuery(&ast.Source{Input: "{" + field.Name + args + "{a}}"})
		if err != nil {
			t.Fatal(err)
		}
		m := meter{table: &table{}, enough: f.o.Limits.Comparisons}
		if got := m.set(doc.Operations[0].SelectionSet, true).cost; got <= costCall {
			t.Errorf("%s costs %d", field.Name, got)
		}
	}
	many := `{admin{...a}} fragment a on Administration{` + many(4, func(i int) string { return fmt.Sprintf("a%d:verifyAuditLog{ok}", i) }) + `}`
	if got := f.run(t, many); !strings.Contains(got, "units of cost") {
		t.Errorf("reading the log four times: %s", got)
	}
}
