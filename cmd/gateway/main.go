// Command gateway is Trilith: one registry of capabilities, served through
// MCP, GraphQL, gRPC and REST. Run `gateway dev` to try it, `gateway serve` to
// run it, and `gateway help` for the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once, as if it were not caught.
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run runs one command line and returns the exit status: 0 for success, 1 for
// a failure, 2 for a command line that makes no sense, and 3 for a tool that
// ran and failed.
func run(ctx context.Context, args []string, std streams) int {
	root := newRoot(std)
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errTool):
		return 3
	}
	_, _ = fmt.Fprintln(std.err, "gateway:", safeText(err.Error())) // There is nobody else to tell.
	if errors.As(err, new(usageError)) || !errors.As(err, new(failure)) {
		return 2
	}
	return 1
}

// errInterrupted ends a command that calls a gateway and was told to end first.
var errInterrupted = errors.New("interrupted")

// errTool ends a call whose tool ran and failed; its result has been shown.
var errTool = errors.New("the tool failed")

// usageError is what a command says of a command line that makes no sense.
type usageError struct{ error }

// failure is an error of a command itself. All other errors are found before
// it begins, and so are those of the command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }
