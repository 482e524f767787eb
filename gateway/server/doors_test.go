package server

import (
	"net"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestGRPCOrigin: callers are told how they reach the gRPC door, by a port always.
func TestGRPCOrigin(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv6loopback, Port: 9090}
	for _, tt := range []struct {
		url, grpc string
		tls       bool
		want      string
	}{
		{"", "", false, "http://[::1]:9090"},
		{"", "", true, "https://[::1]:9090"},
		{"https://gw.example/base", "", false, "http://gw.example:9090"},
		{"https://gw.example:8443", "", true, "https://gw.example:9090"},
		{"https://gw.example", "https://grpc.example", false, "https://grpc.example:443"},
		{"https://gw.example", "http://grpc.example", true, "http://grpc.example:80"},
		{"", "https://[2001:db8::1]:7443", false, "https://[2001:db8::1]:7443"},
	} {
		cfg := config.Default()
		cfg.Listen.PublicURL, cfg.Listen.PublicGRPCURL = tt.url, tt.grpc
		scheme := "http://"
		if tt.tls {
			scheme = "https://"
		}
		if got, err := grpcOrigin(cfg, scheme, at); err != nil || got != tt.want {
			t.Errorf("%q, %q, TLS %v: %q, %v, want %q", tt.url, tt.grpc, tt.tls, got, err, tt.want)
		}
	}
}
