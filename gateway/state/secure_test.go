package state

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// writeFile puts data in a new file and returns its path.
func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

// authority is a certificate authority with one certificate that serves as server's and as client's.
func authority(t *testing.T) (ca, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "state test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, private.Public(), private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	cert = writeFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	return cert, cert, key
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ca, cert, key := authority(t)
	otherCA, _, _ := authority(t)
	url := startNATS(t, "-js", "-sd", t.TempDir(),
		"--tlsverify", "--tlscert", cert, "--tlskey", key, "--tlscacert", ca).url
	for name, c := range map[string]struct {
		o    Options
		fine bool
	}{
		"trusted both ways":   {Options{URL: url, CAFile: ca, CertFile: cert, KeyFile: key}, true},
		"server not trusted":  {Options{URL: url, CAFile: otherCA, CertFile: cert, KeyFile: key}, false},
		"system's authority":  {Options{URL: url, CertFile: cert, KeyFile: key}, false},
		"client without cert": {Options{URL: url, CAFile: ca}, false},
	} {
		patience := time.Second
		if c.fine {
			patience = 20 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := Open(ctx, c.o)
		cancel()
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	operator, operatorPub := newKey(t, nkeys.CreateOperator)
	account, accountPub := newKey(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(accountPub)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	_, systemPub := newKey(t, nkeys.CreateAccount)
	conf := fmt.Sprintf(`operator: %s
system_account: %s
resolver: MEMORY
resolver_preload: { %s: %s, %s: %s }
jetstream { store_dir: %q }
`, encode(t, jwt.NewOperatorClaims(operatorPub), operator), systemPub,
		accountPub, encode(t, claims, operator), systemPub, encode(t, jwt.NewAccountClaims(systemPub), operator), t.TempDir())
	url := startNATS(t, "-c", writeFile(t, "nats.conf", []byte(conf))).url

	s := open(t, Options{URL: url, CredentialsFile: credentials(t, account)})
	if _, err := bucket[int](t, s, BucketOptions{Name: "x"}).Put(t.Context(), "k", 1); err != nil {
		t.Error(err)
	}
	stranger, _ := newKey(t, nkeys.CreateAccount)
	for name, o := range map[string]Options{
		"no credentials":       {URL: url},
		"stranger credentials": {URL: url, CredentialsFile: credentials(t, stranger)},
	} {
		start := time.Now()
		if _, err := Open(t.Context(), o); err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: refused after %v only", name, d)
		}
	}
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	kp, err := create()
	must(t, err)
	pub, err := kp.PublicKey()
	must(t, err)
	return kp, pub
}

func encode(t *testing.T, claims jwt.Claims, signer nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(signer)
	must(t, err)
	return token
}

// credentials makes a user of the account and returns the path of its credentials file.
func credentials(t *testing.T, account nkeys.KeyPair) string {
	t.Helper()
	user, pub := newKey(t, nkeys.CreateUser)
	seed, err := user.Seed()
	must(t, err)
	data, err := jwt.FormatUserConfig(encode(t, jwt.NewUserClaims(pub), account), seed)
	must(t, err)
	return writeFile(t, "user.creds", data)
}
