// Command embed is a gateway of your own: Go functions as tools, served
// through every door, in one small main.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

type order struct {
	Dish  string `json:"dish" jsonschema:"what to cook"`
	Count int    `json:"count" jsonschema:"how many plates"`
}

type bill struct {
	Total float64 `json:"total" jsonschema:"the price of all plates"`
}

// kitchen returns the source of our tools.
func kitchen() (*gateway.Funcs, error) {
	f := new(gateway.Funcs)
	err := gateway.AddTool(f, "order", "Order some plates of a dish.",
		func(_ context.Context, call *gateway.Call, o order) (bill, error) {
			if o.Count < 1 {
				return bill{}, fmt.Errorf("%s, you ordered nothing", call.Principal.Name)
			}
			return bill{Total: 9.5 * float64(o.Count)}, nil
		})
	return f, err
}

// open makes the gateway. Leave Dev out, and load a configuration with your
// issuer and policy, to serve others.
func open(ctx context.Context, cfg *config.Config) (*server.Server, error) {
	f, err := kitchen()
	if err != nil {
		return nil, err
	}
	return server.New(ctx, cfg, server.Options{Dev: &server.Dev{}, Sources: map[string]gateway.Upstream{"kitchen": f}})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := open(ctx, config.Default())
	if err == nil {
		_, _ = fmt.Println("Serving", s.URL(), "- as the persona admin, who may do anything")
		err = s.Run(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // Nothing is left to stop.
	}
}
