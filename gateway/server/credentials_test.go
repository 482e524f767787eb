package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// ask sends a request with those headers and returns the status and the
// answer's headers.
func ask(t testing.TB, client *http.Client, url string, headers ...string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, res.Header
}

// alone is a client that keeps no connection.
func alone(c *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: c}}
}

// listTools lists tools through the gRPC door with that metadata.
func listTools(t testing.TB, conn *grpc.ClientConn, kv ...string) codes.Code {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), kv...)
	_, err := gatewayv1.NewGatewayServiceClient(conn).ListTools(ctx, &gatewayv1.ListToolsRequest{})
	return status.Code(err)
}

// TestFirstKey starts a gateway without an issuer: the key that it makes opens
// every door, until it is revoked.
func TestFirstKey(t *testing.T) {
	edit := withPolicy(t, "p, role:gateway:admin, *, **, *, allow\n")
	r := startWith(t, server.Options{}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.APIKeys = &config.APIKeys{Header: "X-API-Key", MaxLife: time.Hour}
	})
	file := filepath.Join(r.config.Data, "first-api-key")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(text))
	for _, c := range []struct {
		name    string
		headers []string
		code    int
		grpc    codes.Code
	}{
		{"bearer", []string{"Authorization", "Bearer " + key}, 200, codes.OK},
		{"in its header", []string{"X-API-Key", key}, 200, codes.OK},
		{"twice", []string{"X-API-Key", key, "Authorization", "Bearer " + key}, 400, codes.InvalidArgument},
		{"cut", []string{"X-API-Key", key[:20]}, 401, codes.Unauthenticated},
		{"no key in its header", []string{"X-API-Key", "secret"}, 401, codes.Unauthenticated},
		{"none", nil, 401, codes.Unauthenticated},
	} {
		if code, _ := ask(t, alone(nil), r.URL()+"/v1/tools", c.headers...); code != c.code {
			t.Errorf("%s: %d, want %d", c.name, code, c.code)
		}
		if code := listTools(t, r.grpc, c.headers...); code != c.grpc {
			t.Errorf("%s: %v, want %v", c.name, code, c.grpc)
		}
	}
	if err := server.Keys(r.Server).Revoke(t.Context(), "22222222", "test"); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask(t, alone(nil), r.URL()+"/v1/tools", "X-API-Key", key); code != 401 {
		t.Errorf("revoked: %d", code)
	}
}

// authority is a CA, and what it has certified, in files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.issue(t, "ca", &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue certifies a name in <name>.pem, with its key in <name>-key.pem.
func (a *authority) issue(t testing.TB, name string, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// client is how a client speaks TLS that trusts the CA and shows certificates.
func (a *authority) client(show ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: show, MinVersion: tls.VersionTLS12}
}

// TestClientCertificates lets a client in by its certificate alone, through
// HTTP and gRPC.
func TestClientCertificates(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "gateway", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	client := a.issue(t, "client", &x509.Certificate{DNSNames: []string{"svc.example.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	edit := withPolicy(t, "p, client:certificate|svc.example.test, *, tool/demo/*, call, allow\n")
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Listen.TLS = &config.TLS{Cert: a.file("gateway.pem"), Key: a.file("gateway-key.pem"), ClientCA: a.file("ca.pem")}
	cfg.Auth.Certificates = &config.Certificates{Subject: "dns"}
	edit(cfg)
	server.DevSources(cfg)
	s, err := server.New(t.Context(), cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	<-s.Ready()
	for _, c := range []struct {
		name string
		tls  *tls.Config
		code int
		grpc codes.Code
	}{
		{"with it", a.client(client), 200, codes.OK},
		{"without", a.client(), 401, codes.Unauthenticated},
	} {
		if code, _ := ask(t, alone(c.tls), s.URL()+"/v1/tools/demo.echo"); code != c.code {
			t.Errorf("%s: %d, want %d", c.name, code, c.code)
		}
		conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(c.tls)))
		if err != nil {
			t.Fatal(err)
		}
		if code := listTools(t, conn); code != c.grpc {
			t.Errorf("%s: %v, want %v", c.name, code, c.grpc)
		}
		_ = conn.Close()
	}
}

// TestOpaqueTokens asks an issuer about tokens, with credentials from the
// environment.
func TestOpaqueTokens(t *testing.T) {
	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	defer idp.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, idp.URL, idp.URL+"/keys", idp.URL+"/introspect")
	})
	mux.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "gateway" || secret != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"active":%v,"sub":"alice","aud":"gateway","exp":%d,"roles":["dev"]}`, r.FormValue("token") == "opaque", time.Now().Add(time.Hour).Unix())
	})
	edit := withPolicy(t, "p, role:dev, *, tool/demo/*, call, allow\n")
	r := startWith(t, server.Options{LookEnv: func(name string) (string, bool) { return "hunter2", name == "SECRET" }}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.Issuers = []config.Issuer{{
			Name: "corp", Issuer: idp.URL, Audiences: []string{"gateway"}, GroupsClaim: "groups", RolesClaim: "roles", TenantClaim: "tenant",
			Introspection: &config.Introspection{ClientID: "gateway", ClientSecret: "${env:SECRET}"},
		}}
	})
	for token, want := range map[string]int{"opaque": 200, "other": 401, "a.b.c": 401, "gwk_x": 401} {
		if code, _ := ask(t, alone(nil), r.URL()+"/v1/tools/demo.echo", "Authorization", "Bearer "+token); code != want {
			t.Errorf("%s: %d, want %d", token, code, want)
		}
	}
}
