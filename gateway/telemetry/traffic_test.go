package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trilith-gateway/trilith/gateway"
)

func observe(t *Traffic, via, source string, took time.Duration, res *gateway.Result, err error) {
	call := &gateway.Call{Op: gateway.OpCall, Via: via}
	_, end := t.Observe(context.Background(), call)
	if source != "" {
		call.Target = &gateway.Capability{Source: source}
	}
	time.Sleep(took)
	end(res, err)
}

func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traffic := NewTraffic()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var running sync.WaitGroup
		running.Go(func() { traffic.Run(ctx) })
		if r := traffic.Report(60); r.Seconds != 0 || r.Total.Calls != 0 {
			t.Errorf("before the first second: %+v", r)
		}
		ok, bad := gateway.TextResult("x"), gateway.ErrorResult("x")
		for range 98 {
			observe(traffic, "mcp", "a", time.Millisecond, ok, nil)
		}
		observe(traffic, "grpc", "a", 300*time.Millisecond, bad, nil)
		observe(traffic, "grpc", "b", 0, nil, &gateway.Error{Code: gateway.Unavailable})
		observe(traffic, "grpc", "", 0, nil, &gateway.Error{Code: gateway.NotFound})
		observe(traffic, "rest", "b", 0, nil, errors.New("a bug"))
		observe(traffic, "rest", "b", 0, nil, context.Canceled)
		<-traffic.Ticked()
		got := traffic.Report(60)
		near := func(d time.Duration) time.Duration { return d + d/8 }
		want := Report{
			Seconds: 1,
			Total:   Share{Calls: 103, ToolErrors: 1, Refused: 1, Failed: 2, Canceled: 1, P50: near(time.Millisecond), P99: near(time.Millisecond)},
			Doors: []Share{
				{Name: "grpc", Calls: 3, ToolErrors: 1, Refused: 1, Failed: 1, P50: time.Microsecond, P99: near(300 * time.Millisecond)},
				{Name: "mcp", Calls: 98, P50: near(time.Millisecond), P99: near(time.Millisecond)},
				{Name: "rest", Calls: 2, Failed: 1, Canceled: 1, P50: time.Microsecond, P99: time.Microsecond},
			},
			Sources: []Share{
				{Name: "", Calls: 1, Refused: 1, P50: time.Microsecond, P99: time.Microsecond},
				{Name: "a", Calls: 99, ToolErrors: 1, P50: near(time.Millisecond), P99: near(300 * time.Millisecond)},
				{Name: "b", Calls: 3, Failed: 2, Canceled: 1, P50: time.Microsecond, P99: time.Microsecond},
			},
		}
		within := cmp.Comparer(func(a, b time.Duration) bool { return max(a, b)-min(a, b) <= max(a, b)/8 })
		if diff := cmp.Diff(want, got, within, cmpopts.IgnoreFields(Report{}, "Time"), cmpopts.IgnoreUnexported(Share{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		<-traffic.Ticked()
		if r := traffic.Report(1); r.Seconds != 1 || r.Total.Calls != 0 {
			t.Errorf("a second in which nothing happened: %+v", r)
		}
		if r := traffic.Report(2); r.Total.Calls != 103 {
			t.Errorf("two seconds: %+v", r)
		}
		time.Sleep(MaxSeconds * time.Second)
		if r := traffic.Report(10 * MaxSeconds); r.Seconds != MaxSeconds || r.Total.Calls != 0 {
			t.Errorf("long after: %+v", r)
		}
		stop()
		running.Wait()
	})
}

// TestSubscriptionsHaveNoDuration keeps what lasts as long as its caller wants
// out of how long calls take, and administration out of everything.
func TestSubscriptionsHaveNoDuration(t *testing.T) {
	traffic := NewTraffic()
	_, end := traffic.Observe(t.Context(), &gateway.Call{Op: gateway.OpSubscribe, Via: "mcp"})
	end(nil, nil)
	_, end = traffic.Observe(t.Context(), &gateway.Call{Op: gateway.OpInspect, Via: "rest"})
	end(nil, nil)
	traffic.close()
	if r := traffic.Report(1); r.Total.Calls != 1 || r.Total.P99 != 0 {
		t.Errorf("%+v", r.Total)
	}
}

func TestManySourcesAreBounded(t *testing.T) {
	traffic := NewTraffic()
	for i := range maxSeries + 100 {
		observe(traffic, "mcp", fmt.Sprint(i), 0, nil, nil)
	}
	traffic.close()
	r := traffic.Report(1)
	if r.Total.Calls != maxSeries+100 || len(r.Sources) != maxSeries+1 {
		t.Errorf("%d calls of %d sources", r.Total.Calls, len(r.Sources))
	}
}

// TestExceeded counts what exceeds limits that are only measured, in the seconds
// that were asked for, under a bounded number of names.
func TestExceeded(t *testing.T) {
	traffic := NewTraffic()
	traffic.Exceed("depth")
	traffic.close()
	var counting sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			for range 100 {
				traffic.Exceed("cost")
			}
		})
	}
	counting.Wait()
	traffic.Exceed("depth")
	traffic.close()
	if diff := cmp.Diff([]Excess{{"cost", 400}, {"depth", 1}}, traffic.Report(1).Exceeded); diff != "" {
		t.Errorf("the last second (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Excess{{"cost", 400}, {"depth", 2}}, traffic.Report(2).Exceeded); diff != "" {
		t.Errorf("two seconds (-want +got):\n%s", diff)
	}
	for i := range maxLimits + 10 {
		traffic.Exceed(fmt.Sprint(i))
	}
	traffic.close()
	got := traffic.Report(1).Exceeded
	if len(got) != maxLimits+1 || got[maxLimits] != (Excess{Other, 10}) {
		t.Errorf("%d names, the last %v", len(got), got[len(got)-1])
	}
}

// TestBuckets has every duration in a bucket that holds it, within an eighth.
func TestBuckets(t *testing.T) {
	last := -1
	for us := int64(0); us < 1<<maxOctave; us += 1 + us/97 {
		d := time.Duration(us) * time.Microsecond
		b := bucketOf(d)
		if b < last || b >= buckets {
			t.Fatalf("%v is in bucket %d, after %d", d, b, last)
		}
		last = b
		if low, high := bound(b), bound(b+1); d < low || d >= high || us >= fractions && high-low > low/fractions {
			t.Fatalf("%v is in the bucket from %v to %v", d, low, high)
		}
	}
	if b := bucketOf(1 << 62); b != buckets-1 {
		t.Errorf("for ever is in bucket %d of %d", b, buckets)
	}
	if b := bucketOf(-1); b != 0 {
		t.Errorf("less than nothing is in bucket %d", b)
	}
}

func BenchmarkObserve(b *testing.B) {
	traffic := NewTraffic()
	call := &gateway.Call{Op: gateway.OpCall, Via: "mcp", Target: &gateway.Capability{Source: "a"}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, end := traffic.Observe(b.Context(), call)
			end(nil, nil)
		}
	})
}
