package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestCertificateIsRenewed replaces certificate and key while they are in use.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	c := &config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	written := time.Now()
	put := func(file string, data []byte) {
		t.Helper()
		written = written.Add(time.Minute)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, written, written); err != nil {
			t.Fatal(err)
		}
	}
	cert1, key1 := newPair(t, 1)
	cert2, key2 := newPair(t, 2)
	put(c.Cert, cert1)
	put(c.Key, key1)
	synctest.Test(t, func(t *testing.T) {
		s, err := serverTLS(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		want := func(step string, serial int64) {
			t.Helper()
			<-time.After(time.Second)
			pair, err := s.GetCertificate(&tls.ClientHelloInfo{})
			if err != nil || pair.Leaf.SerialNumber.Int64() != serial {
				t.Errorf("%s: certificate %v, not %d (%v)", step, pair.Leaf.SerialNumber, serial, err)
			}
		}
		want("at first", 1)
		put(c.Cert, cert2)
		want("with the old key", 1)
		put(c.Key, key2)
		want("renewed", 2)
		put(c.Cert, []byte("garbage"))
		want("damaged", 2)
		if err := os.Remove(c.Cert); err != nil {
			t.Fatal(err)
		}
		want("removed", 2)
		put(c.Cert, cert1)
		put(c.Key, key1)
		want("back", 1)
	})
}

func newPair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}
