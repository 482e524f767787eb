package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/trilith-gateway/trilith/gateway/audit"
)

// crash N RATE: N times, call at RATE calls a second, kill the gateway with
// SIGKILL under that load, and start it again. At the end every call that was
// answered must have its record, and the log verify after each round.
func crash(ts *testscript.TestScript, _ bool, args []string) {
	rounds, err := strconv.Atoi(args[0])
	ts.Check(err)
	rate, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := ts.Value("gateway").(*background)
	dir := ts.Getenv("DATA") + "/audit"
	answered := map[string]bool{} // The names that refused calls asked for.
	ok := 0                       // Calls that ran.
	for round := range rounds {
		up(ts, false, nil)
		as(ts, false, []string{"dev"}) // Each gateway has ports of its own, and a token is for one.
		l := load{addr: ts.Getenv("ADDR"), token: ts.Getenv(tokenVariable), round: round}
		l.run(rate, 700*time.Millisecond, func() {
			ts.Check(b.cmd.Process.Kill())
			_ = b.cmd.Wait()
			b.cmd = nil
		})
		if len(l.names) == 0 || l.ok.Load() == 0 {
			ts.Fatalf("round %d: no call was answered", round)
		}
		for _, name := range l.names {
			answered[name] = true
		}
		ok += int(l.ok.Load())
		if _, err := audit.Verify(dir, audit.Proofs{}); err != nil {
			ts.Fatalf("round %d: %v", round, err)
		}
	}
	up(ts, false, nil)
	b.stop()
	report, err := audit.Verify(dir, audit.Proofs{})
	ts.Check(err)
	recorded := 0
	for r, err := range audit.Tail(context.Background(), dir, -1, false) {
		ts.Check(err)
		if r.Type == audit.TypeCall && r.Code == "OK" {
			recorded++
		}
		delete(answered, r.Name)
	}
	if len(answered) > 0 || recorded < ok {
		ts.Fatalf("%d answered refusals have no record; %d calls ran and %d are recorded", len(answered), ok, recorded)
	}
	ts.Logf("%d kills, %d records", rounds, report.Records)
}

// A load calls a gateway until it is gone.
type load struct {
	addr, token string
	round       int

	ok    atomic.Int64
	mu    sync.Mutex
	names []string
}

// run calls at a rate for some time, then kills while calls go on.
func (l *load) run(rate int, after time.Duration, kill func()) {
	const callers = 16
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * callers / time.Duration(rate))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				l.call(client, i, n)
			}
		})
	}
	<-time.After(after)
	kill()
	close(stop)
	wg.Wait()
}

// call makes a call that runs or, every other time, one that is refused, by a
// name of its own.
func (l *load) call(client *http.Client, i, n int) {
	name := "demo.echo"
	if n%2 == 0 {
		name = fmt.Sprintf("demo.none-%d-%d-%d", l.round, i, n)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+l.addr+"/v1/tools/"+name+":call", strings.NewReader(`{"text":"x"}`))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+l.token)
	res, err := client.Do(req)
	if err != nil {
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	switch {
	case err != nil:
	case res.StatusCode == http.StatusOK:
		l.ok.Add(1)
	case res.StatusCode == http.StatusNotFound:
		l.mu.Lock()
		l.names = append(l.names, name)
		l.mu.Unlock()
	}
}
