package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

// maxDescriptors bounds the file of a descriptor set.
const maxDescriptors = 64 << 20

// makeGRPC makes the upstream of a gRPC server. Its files are read now: a change of theirs takes a reload.
func (s *Server) makeGRPC(name string, c *config.GRPCServer, have secrets) (*upstream.Upstream, error) {
	o := upstream.Options{
		Name: name, Headers: have.Headers, Reflection: c.Reflection, Services: c.Services, Timeout: c.Timeout, Reload: c.Reload,
		MaxMessage: int(c.MaxMessage), MaxMessages: c.MaxMessages, MaxConnections: c.MaxConnections,
		UserAgent: "trilith/" + s.options.Version, Logger: s.log,
	}
	var err error
	if c.Descriptors != "" {
		if o.Descriptors, err = readDescriptors(c.Descriptors); err != nil {
			return nil, fmt.Errorf("descriptors: %w", err)
		}
	}
	if c.CAFile != "" {
		if o.TLS, err = trusting(c.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	if have.OAuth != nil { // gRPC has no form for proofs of a key.
		own := *have.OAuth
		own.DPoP = "never"
		have.OAuth = &own
	}
	if o.Client, err = s.egress(name, &c.Remote, have); err != nil {
		return nil, err
	}
	up, err := upstream.New(o)
	if err != nil {
		return nil, errors.Join(err, o.Client.Close())
	}
	return up, nil
}

func readDescriptors(file string) (*descriptorpb.FileDescriptorSet, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDescriptors {
		return nil, fmt.Errorf("%s is larger than %d MiB", file, maxDescriptors>>20)
	}
	b, err := os.ReadFile(file) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, set); err != nil || len(set.GetFile()) == 0 {
		return nil, fmt.Errorf("%s is not a FileDescriptorSet in binary form", file)
	}
	return set, nil
}

// trusting returns a configuration that trusts the certificates of a file and no others.
func trusting(file string) (*tls.Config, error) {
	b, err := os.ReadFile(file) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}
