package config_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the wanted results and the generated documents")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
