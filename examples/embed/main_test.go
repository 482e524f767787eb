package main

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

func TestEmbed(t *testing.T) {
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	s, err := open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	admin := &gateway.Principal{ID: "test", Name: "Ada", Kind: "user", Subject: "ada", Roles: []string{"admin"}}
	res, err := s.Gateway().Do(ctx, &gateway.Call{Op: gateway.OpCall, Name: "kitchen.order", Args: json.RawMessage(`{"dish":"soup","count":2}`), Principal: admin})
	if err != nil {
		t.Fatal(err)
	}
	if parts, err := res.Parts(); err != nil || string(parts.Structured) != `{"total":19}` {
		t.Errorf("got %s, %v", res.Raw, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
