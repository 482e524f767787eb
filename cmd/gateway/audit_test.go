package main

import (
	"bytes"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/audit"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		report audit.Report
		want   string
	}{
		{audit.Report{}, "the log has no record yet\n"},
		{
			audit.Report{Segments: 2, First: 1, Records: 7, Checkpoint: 7, Checkpoints: 3},
			"7 records in 2 segments, unbroken; signed up to record 7 by 3 checkpoints\n",
		},
		{
			audit.Report{Segments: 2, First: 6, Records: 7, Checkpoint: 7, Checkpoints: 3},
			"2 records in 2 segments, unbroken from record 6 on; signed up to record 7 by 3 checkpoints\n",
		},
		{
			audit.Report{Segments: 1, First: 1, Records: 7, Checkpoint: 6, Checkpoints: 1, Torn: 12},
			"7 records in 1 segments, unbroken; signed up to record 6 by 1 checkpoints; 12 bytes of an incomplete record at the end: one being written now, or cut off by a crash\n",
		},
	} {
		var out bytes.Buffer
		if err := (&app{std: streams{out: &out}}).verdict(c.report); err != nil || out.String() != c.want {
			t.Errorf("%+v: %q, %v", c.report, &out, err)
		}
	}
}
