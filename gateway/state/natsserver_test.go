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
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServer is a nats-server process with JetStream on a port of its own.
type natsServer struct {
	url  string
	dir  string
	port string
	args []string
	cmd  *exec.Cmd
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
	path, err := serverBinary()
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

// startCluster runs n servers of the embedded version, listening as external ones do, and returns their addresses.
// More than one form a cluster.
func startCluster(t *testing.T, n int) string {
	t.Helper()
	routes := make([]*url.URL, n)
	for i := range routes { // A server must know the ports of the others before they have started.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		routes[i] = &url.URL{Scheme: "nats", Host: l.Addr().String()}
		must(t, l.Close())
	}
	var urls []string
	for i := range n {
		o := &server.Options{
			ServerName: "n" + strconv.Itoa(i), Host: "127.0.0.1", Port: -1,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		}
		if n > 1 {
			port, err := strconv.Atoi(routes[i].Port())
			must(t, err)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = routes
		}
		srv, err := server.NewServer(o)
		must(t, err)
		go srv.Start()
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("server does not start")
		}
		urls = append(urls, srv.ClientURL())
	}
	return strings.Join(urls, ",")
}
