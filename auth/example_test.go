package auth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/issuer"
)

// A door with the issuer for development, and a handler behind it.
func ExampleDoor() {
	const public = "http://127.0.0.1:8080"
	log := slog.New(slog.DiscardHandler)

	vouching, err := issuer.Open(issuer.Options{URL: public + "/dev/issuer"})
	if err != nil {
		panic(err)
	}
	oidc, err := auth.NewOIDC(context.Background(), []auth.IssuerOptions{{
		URL: vouching.URL(), Keys: vouching.PublicKeys(), RequireType: true,
		Audiences: auth.Resources(public, "/mcp"),
	}}, auth.OIDCOptions{Logger: log})
	if err != nil {
		panic(err)
	}
	defer oidc.Close()
	door, err := auth.NewDoor(auth.DoorOptions{
		Auth: oidc, Resource: public, Endpoints: []string{"/mcp"}, Servers: []string{vouching.URL()}, Logger: log,
	})
	if err != nil {
		panic(err)
	}

	hello := door.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := auth.From(r.Context())
		fmt.Fprintf(w, "%s %v", p.ID, p.Roles)
	}))
	r := httptest.NewRequest("GET", public+"/mcp", nil)
	w := httptest.NewRecorder()
	hello.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))

	token, err := vouching.Mint("dev", public+"/mcp", time.Hour)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w = httptest.NewRecorder()
	hello.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 401 Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"
	// 200 http://127.0.0.1:8080/dev/issuer|user|dev [dev]
}
