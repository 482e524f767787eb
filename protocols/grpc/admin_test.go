package grpc

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// newAdministration returns a gateway of administration whose methods answer
// what the test says, and leave what they were called with in args.
func newAdministration(t *testing.T, methods map[string]func(context.Context, *gateway.Call) (string, error)) *gateway.Gateway {
	t.Helper()
	f, r := &gateway.Funcs{}, &gateway.Registry{}
	for name, run := range methods {
		err := f.AddTool(json.RawMessage(`{"name":"`+name+`","inputSchema":{"type":"object"}}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			out, err := run(ctx, c)
			if err != nil {
				return nil, err
			}
			return gateway.NewResult(json.RawMessage(`{"content":[],"structuredContent":` + out + `}`))
		})
		if err != nil {
			t.Fatal(err)
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
	gw, err := gateway.New(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return gw
}

// TestAdminMethods calls methods of admin.v1 over gRPC and REST: both make the
// same call, and both show its answer and its failure.
func TestAdminMethods(t *testing.T) {
	var args string
	f := frontend(t, newWorld(t), Options{Admin: newAdministration(t, map[string]func(context.Context, *gateway.Call) (string, error){
		"policy.ExplainPolicy": func(_ context.Context, c *gateway.Call) (string, error) {
			args = c.Via + " " + string(c.Args)
			return `{"allowed":true,"path":["group:eng"],"nearMisses":[]}`, nil
		},
		"sessions.EndSession": func(context.Context, *gateway.Call) (string, error) {
			return "", &gateway.Error{Code: gateway.Aborted, Msg: "no more", Err: io.EOF}
		},
		"audit.ListRecords": func(_ context.Context, c *gateway.Call) (string, error) {
			args = c.Via + " " + string(c.Args)
			return `{"recordsJson":["{\"seq\":1}","{\"seq\":2}"]}`, nil
		},
		"sessions.ListSessions": func(context.Context, *gateway.Call) (string, error) {
			return `{"sessions":[{"id":"a","opened":"2026-01-02T03:04:05.5Z"}],"total":"1"}`, nil
		},
	})})
	conn := dial(t, f)
	who := as(t.Context(), "alice")
	explained, err := adminv1.NewPolicyServiceClient(conn).ExplainPolicy(who, &adminv1.ExplainPolicyRequest{Object: "tool/a/b", ArgumentsJson: `{"n":1}`})
	if err != nil || !explained.GetAllowed() || args != `grpc {"object":"tool/a/b","argumentsJson":"{\"n\":1}"}` {
		t.Errorf("explain answered %v, %v to %s", explained, err, args)
	}
	if _, err := adminv1.NewSessionServiceClient(conn).EndSession(who, &adminv1.EndSessionRequest{Id: "x"}); status.Code(err) != codes.Aborted || status.Convert(err).Message() != "no more" {
		t.Errorf("the failure reads %v", err)
	}
	if _, err := adminv1.NewKeyServiceClient(conn).ListKeys(who, &adminv1.ListKeysRequest{}); status.Code(err) != codes.NotFound {
		t.Errorf("a method without a tool answers %v", err)
	}
	if _, err := adminv1.NewSessionServiceClient(conn).ListSessions(t.Context(), &adminv1.ListSessionsRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("nobody got %v", err)
	}
	since := timestamppb.New(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	records, err := adminv1.NewAuditServiceClient(conn).ListRecords(who, &adminv1.ListRecordsRequest{Filter: &adminv1.RecordFilter{From: since}})
	if err != nil || len(records.GetRecordsJson()) != 2 || args != `grpc {"filter":{"from":"2026-01-02T00:00:00Z"}}` {
		t.Errorf("records %v, %v to %s", records, err, args)
	}

	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	checker := newChecker(t, adminAPI)
	for _, c := range []struct{ method, path, body, status, want, args string }{
		{"POST", "/admin/v1/policy:explain", `{"object":"tool/a/b","arguments":{"n":12345678901234567890}}`, "200", `{"allowed":true,"path":["group:eng"],"nearMisses":[]}`, `rest {"object":"tool/a/b","argumentsJson":"{\"n\":12345678901234567890}"}`},
		{"POST", "/admin/v1/policy:explain", `{"object":"a","object":"b"}`, "400", `occurs twice`, ""},
		{"POST", "/admin/v1/policy:explain", `{"objekt":"a"}`, "400", `objekt`, ""},
		{"DELETE", "/admin/v1/sessions/x", ``, "409", `"detail":"no more"`, ""},
		{"GET", "/admin/v1/sessions", ``, "200", `{"sessions":[{"id":"a","opened":"2026-01-02T03:04:05.5Z"}],"total":1,"missingNodes":[]}`, ""},
		{"GET", "/admin/v1/audit/records?filter.principal=alice&pageSize=2", ``, "200", `{"records":[{"seq":1},{"seq":2}]}`, `rest {"filter":{"principal":"alice"},"pageSize":2}`},
		{"GET", "/admin/v1/audit/records?filter.principle=alice", ``, "400", `filter.principle`, ""},
		{"PATCH", "/admin/v1/sessions", ``, "405", `not allowed`, ""},
		{"GET", "/admin/v1/nothing", ``, "404", `NOT_FOUND`, ""},
		{"POST", "/admin/v1/nothing", `{}`, "404", `NOT_FOUND`, ""},
		{"GET", "/admin/v1/keys", ``, "404", `NOT_FOUND`, ""},
	} {
		args = ""
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Who", "alice")
		if c.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.HasPrefix(res.Status, c.status) || !strings.Contains(string(body), c.want) || args != c.args {
			t.Errorf("%s %s: %s %s, called with %s (%v)", c.method, c.path, res.Status, body, args, err)
		}
		checker.check(t, req, res, body)
		if c.status == "405" && res.Header.Get("Allow") != "GET" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, res.Header.Get("Allow"))
		}
	}
}

// TestWatchTraffic follows traffic over gRPC and REST: who is slow gets the
// latest.
func TestWatchTraffic(t *testing.T) {
	f := frontend(t, newWorld(t), Options{Admin: newAdministration(t, map[string]func(context.Context, *gateway.Call) (string, error){
		"traffic.WatchTraffic": func(ctx context.Context, c *gateway.Call) (string, error) {
			if string(c.Args) != `{"seconds":9}` {
				t.Errorf("called with %s", c.Args)
			}
			c.Log(gateway.LogMessage{Data: json.RawMessage(`{"traffic":{"seconds":9,"total":{"calls":"3"}}}`)})
			<-ctx.Done()
			return "", ctx.Err()
		},
	})})
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	stream, err := adminv1.NewTrafficServiceClient(dial(t, f)).WatchTraffic(ctx, &adminv1.WatchTrafficRequest{Seconds: 9}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || got.GetTraffic().GetTotal().GetCalls() != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	cancel()
	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	if line := firstEvent(t, server.URL+"/admin/v1/traffic:watch?seconds=9"); !strings.HasPrefix(line, `data: {"traffic":{"seconds":9,"total":{"calls":3}`) {
		t.Errorf("got %q", line)
	}
}

// TestWatchSources follows the sources over gRPC and REST.
func TestWatchSources(t *testing.T) {
	f := frontend(t, newWorld(t), Options{Admin: newAdministration(t, map[string]func(context.Context, *gateway.Call) (string, error){
		"sources.WatchSources": func(ctx context.Context, c *gateway.Call) (string, error) {
			c.Log(gateway.LogMessage{Data: json.RawMessage(`{"sources":[{"name":"a","kind":"mcp"}]}`)})
			<-ctx.Done()
			return "", ctx.Err()
		},
	})})
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	stream, err := adminv1.NewSourceServiceClient(dial(t, f)).WatchSources(ctx, &adminv1.WatchSourcesRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || len(got.GetSources()) != 1 || got.GetSources()[0].GetKind() != "mcp" {
		t.Errorf("got %v, %v", got, err)
	}
	cancel()
	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	if line := firstEvent(t, server.URL+"/admin/v1/sources:watch"); !strings.HasPrefix(line, `data: {"sources":[{"name":"a",`) {
		t.Errorf("got %q", line)
	}
}

// firstEvent returns the first line of a stream of events that alice asks for.
func firstEvent(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Who", "alice")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	return line
}

// TestTailRecords follows records over gRPC and REST until the client leaves.
func TestTailRecords(t *testing.T) {
	f := frontend(t, newWorld(t), Options{Admin: newAdministration(t, map[string]func(context.Context, *gateway.Call) (string, error){
		"audit.TailRecords": func(ctx context.Context, c *gateway.Call) (string, error) {
			if err := c.Feed(ctx, gateway.LogMessage{Data: json.RawMessage(`{"seq":7}`)}, 3); err != nil {
				return "", err
			}
			<-ctx.Done()
			return "", ctx.Err()
		},
	})})
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	stream, err := adminv1.NewAuditServiceClient(dial(t, f)).TailRecords(ctx, &adminv1.TailRecordsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || got.GetRecordJson() != `{"seq":7}` || got.GetDropped() != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	cancel()
	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	if line := firstEvent(t, server.URL+"/admin/v1/audit/records:tail?filter.via=mcp"); line != `data: {"record":{"seq":7},"dropped":3}`+"\n" {
		t.Errorf("got %q", line)
	}
}
