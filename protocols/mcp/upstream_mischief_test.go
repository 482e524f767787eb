package mcp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// mischief is a modern server that does what its tools are called.
func mischief() error {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	say("Welcome to this server!")
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r received
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		id := string(r.ID)
		done := func(text string) {
			say(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","content":[{"type":"text","text":%s}]}}`, id, strconv.Quote(text))
		}
		switch tool := r.Params.Name; {
		case r.Method == "server/discover":
			say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, modernDiscover)
		case r.Method == "tools/list":
			say(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","tools":[{"name":"pid"}]}}`, id)
		case strings.HasSuffix(r.Method, "/list"):
			say(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`, id)
		case r.Method != "tools/call":
		case tool == "garbage":
			say("not JSON\n{}\n[1,2]\n\x00\xff\n" + `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}`)
			say(`{"jsonrpc":"2.0","id":999999,"result":{}}`)
			done("after garbage")
		case tool == "twice":
			done("first")
			done("second")
		case tool == "huge":
			say(`{"jsonrpc":"2.0","id":%s,"result":{"x":"%s"}}`, id, strings.Repeat("x", 1<<17))
		case tool == "broken":
			say(`{"jsonrpc":"2.0","id":%s,"result":{"a":1,"a":2}}`, id)
		case tool == "pid":
			done(strconv.Itoa(os.Getpid()))
		case tool == "environment":
			done(strings.Join(os.Environ(), " "))
		case tool == "flood":
			for i := range 10_000 {
				fmt.Fprintln(os.Stderr, "line", i, "\x1b[31m")
			}
			done("flooded")
		case tool == "child":
			child := exec.Command("sleep", "600") // It holds this program's files open.
			child.Stdout, child.Stderr = os.Stdout, os.Stderr
			if err := child.Start(); err != nil {
				return err
			}
			done(strconv.Itoa(child.Process.Pid))
		case tool == "die":
			fmt.Fprintln(os.Stderr, "dying as asked")
			os.Exit(3)
		case tool == "stubborn":
			done("from now on")
			select {}
		}
	}
	return in.Err()
}
