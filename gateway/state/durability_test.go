package state

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// writeUntilKilled is the child's part of the test below.
func writeUntilKilled(dir string) int {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	b, err := OpenBucket[int](ctx, s, BucketOptions{Name: "kill"})
	for i := 0; err == nil; i++ {
		if _, err = b.Put(ctx, strconv.Itoa(i), i); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestKilledProcessLosesNothing kills a writing process without warning, several times on the same files: whatever
// was acknowledged must be there.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-state.child="+dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		acknowledged := -1
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if acknowledged == 100*(round+1) {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // Reports the signal.
		if acknowledged < 100 {
			t.Fatalf("the child acknowledged %d writes", acknowledged)
		}
		s := open(t, Options{Dir: dir})
		all, err := bucket[int](t, s, BucketOptions{Name: "kill"}).All(t.Context())
		must(t, err)
		present := make(map[int]bool)
		for _, e := range all {
			present[e.Value] = true
		}
		for i := range acknowledged + 1 {
			if !present[i] {
				t.Errorf("round %d: write %d of %d was acknowledged and is lost", round, i, acknowledged)
			}
		}
		must(t, s.Close())
	}
}
