package policy

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

var everyWord = []string{"call", "read", "get", "complete", "subscribe", "list", "admin"}

// TestDifferential holds all ways to a decision against plain Casbin, in random
// policies.
func TestDifferential(t *testing.T) {
	d := differential{T: t}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 7))
		d.csv = randomPolicy(r)
		snap, listed := randomSnapshot(t, r)
		d.e = NewEnforcer(mustParse(t, d.csv), Options{Toolsets: testToolsets, Snapshot: func() *gateway.Snapshot { return snap }})
		for range 4 {
			d.who = randomPrincipal(r)
			d.oracle = newOracle(t, d.csv, d.who, snap)
			d.oracle.facts = randomFacts(r)
			d.views(snap, listed)
			for range 20 {
				d.object(randomObject(r))
			}
			for _, c := range listed {
				d.object(c.Object)
			}
		}
	}
	if d.decisions < 40_000 || d.allowed < d.decisions/20 || d.allowed > d.decisions*19/20 || d.conditional < 1000 {
		t.Errorf("%d of %d decisions are to allow, %d by conditions: the test tests little", d.allowed, d.decisions, d.conditional)
	}
}

type differential struct {
	*testing.T
	csv    string
	e      *Enforcer
	who    *gateway.Principal
	oracle *oracle

	decisions, allowed, conditional int
}

// views holds what is listed, and calls of what is.
func (d *differential) views(snap *gateway.Snapshot, listed []*gateway.Capability) {
	d.Helper()
	view := d.e.View(d.who, snap)
	for _, c := range listed {
		if want := d.oracle.allows(d.T, c.Object, "list"); sees(view, c) != want {
			d.Fatalf("View %t for %s, Casbin %t, of %+v in\n%s", !want, c.Object, want, d.who, d.csv)
		}
		op := mainOp(c.Object)
		call := &gateway.Call{Op: op, Kind: c.Kind, Name: c.Name, Object: c.Object, Target: c, Tool: toolOf(snap, c), Principal: d.who, Args: json.RawMessage(d.oracle.facts.args), Via: d.oracle.facts.via}
		d.e.now = func() time.Time { return d.oracle.facts.now }
		want := d.oracle.allows(d.T, c.Object, op.String())
		for range 2 { // What was decided before is decided the same.
			call.Rule = ""
			err := d.e.Admit(d.Context(), call)
			if (call.Rule != "") != want || want && !strings.Contains(call.Rule, "allow") {
				d.Fatalf("the rule that decides on %s is %q, Casbin %t, of %+v in\n%s", c.Object, call.Rule, want, d.who, d.csv)
			}
			if (err == nil) != want {
				d.Fatalf("Admit %v for %s, Casbin %t, of %+v, %+v in\n%s", err, c.Object, want, d.who, d.oracle.facts, d.csv)
			}
			if err != nil && (gateway.AsError(err).Code == gateway.PermissionDenied) != sees(view, c) {
				d.Fatalf("%s is listed %t, and refused with %v, in\n%s", c.Object, sees(view, c), err, d.csv)
			}
		}
		d.decisions += 2
	}
}

// object holds every action on an object that may be listed nowhere.
func (d *differential) object(object string) {
	d.Helper()
	for _, word := range everyWord {
		want := d.oracle.allows(d.T, object, word)
		request := Request{Principal: d.who, Object: object, Action: word, Args: json.RawMessage(d.oracle.facts.args), Via: d.oracle.facts.via, Time: d.oracle.facts.now}
		slow := d.e.Decide(d.Context(), request)
		err := d.e.Check(d.Context(), request)
		if (err == nil) != want || slow.Allowed != want {
			d.Fatalf("%s on %s: compiled %v, Decide %+v, Casbin %t, of %+v, %+v in\n%s", word, object, err, slow, want, d.who, d.oracle.facts, d.csv)
		}
		if err != nil {
			// A condition of a rule that denies is not asked where nothing allows.
			if why := d.denial(err); (why.Rule == "") != (slow.Rule == "") && !conditional(slow) {
				d.Fatalf("%s on %s: %+v, but Decide says %+v, in\n%s", word, object, why, slow, d.csv)
			}
		}
		d.decisions++
		if want {
			d.allowed++
		}
		if conditional(slow) {
			d.conditional++
		}
	}
}

// conditional reports whether a rule with a condition decided.
func conditional(d Decision) bool { return strings.Count(d.Rule, ", ") > 5 }

func (d *differential) denial(err error) Decision {
	d.Helper()
	cause, ok := errors.AsType[denial](err)
	if !ok {
		d.Fatalf("no denial: %v", err)
	}
	return cause.question.decision(false)
}
