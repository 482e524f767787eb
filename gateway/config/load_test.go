package config_test

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
)

func TestDefaultIsValid(t *testing.T) {
	c := config.Default()
	if c == nil || c.Listen.HTTP != "127.0.0.1:8080" || c.Limits.BodyBytes != 1<<20 || c.Data != "data" {
		t.Fatalf("Default() = %+v", c)
	}
}
