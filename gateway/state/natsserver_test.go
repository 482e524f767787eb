package state

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// natsServer is a nats-server process with JetStream on a port of its own.
type natsServer struct {
	binary func() (string, error) // which server; nil is serverBinary
	url    string
	dir    string
	port   string
	args   []string
	cmd    *exec.Cmd
}

// startNATS runs a server until the end of the test, with JetStream unless args say otherwise.
func startNATS(t *testing.T, args ...string) *natsServer {
	t.Helper()
	n := &natsServer{dir: t.TempDir(), port: "-1"}
	if n.args = args; args == nil {
		n.args = []string{"-js", "-sd", n.dir}
	}
	n.start(t)
	t.Cleanup(func() { n.stop(t) })
	return n
}

// start runs the server; after a stop it comes back with the same port and data.
func (n *natsServer) start(t *testing.T) {
	t.Helper()
	if n.binary == nil {
		n.binary = serverBinary
	}
	path, err := n.binary()
	must(t, err)
	ports := t.TempDir()
	n.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), path,
		append(n.args, "-a", "127.0.0.1", "-p", n.port, "--ports_file_dir", ports)...)
	n.cmd.Stderr = t.Output()
	must(t, n.cmd.Start())
	file := filepath.Join(ports, filepath.Base(path)+"_"+strconv.Itoa(n.cmd.Process.Pid)+".ports")
	var info struct {
		NATS []string `json:"nats"`
	}
	eventually(t, "ports file of nats-server", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(data, &info) == nil && len(info.NATS) > 0
	})
	n.url = info.NATS[0]
	n.port = n.url[strings.LastIndexByte(n.url, ':')+1:]
}

func (n *natsServer) stop(t *testing.T) {
	t.Helper()
	if n.cmd == nil {
		return
	}
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	_ = n.cmd.Wait() // Ends with status 1 after a signal.
	n.cmd = nil
}

// startCluster runs n servers in processes of their own and returns their addresses. More than one form a cluster.
func startCluster(t *testing.T, n int) string {
	t.Helper()
	routes := make([]*url.URL, n)
	for i := range routes { // A server must know the ports of the others before they have started.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		routes[i] = &url.URL{Scheme: "nats", Host: l.Addr().String()}
		must(t, l.Close())
	}
	var all, urls []string
	for _, r := range routes {
		all = append(all, r.String())
	}
	for i, r := range routes {
		node := &natsServer{dir: t.TempDir(), port: "-1", binary: moduleBinary} // Replicas need a newer server than Debian's.
		node.args = []string{"-js", "-sd", node.dir, "-n", "n" + strconv.Itoa(i)}
		if n > 1 {
			node.args = append(node.args, "--cluster_name", "c", "--cluster", r.String(), "--routes", strings.Join(all, ","))
		}
		node.start(t)
		t.Cleanup(func() { node.stop(t) })
		urls = append(urls, node.url)
	}
	return strings.Join(urls, ",")
}
