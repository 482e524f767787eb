package egress

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
)

// assertionLife is short: an assertion is for one request.
const assertionLife = 2 * time.Minute

// An oauthClient is what the gateway is to one authorization server.
type oauthClient struct {
	id     string
	secret string
	key    *assertionKey // instead of secret; nil without
}

// newOAuthClient checks the credentials of a client. One without any is public.
func newOAuthClient(id, secret, privateKey, keyID string) (oauthClient, error) {
	c := oauthClient{id: id, secret: secret}
	switch {
	case id == "":
		return c, errors.New("a client id is needed")
	case secret != "" && privateKey != "":
		return c, errors.New("either a client secret or a private key is given, not both")
	case privateKey == "" && keyID != "":
		return c, errors.New("a key id needs a private key")
	case privateKey == "":
		return c, nil
	}
	var err error
	if c.key, err = parseKey([]byte(privateKey)); err != nil {
		return c, fmt.Errorf("the private key: %w", err)
	}
	c.key.id = keyID
	return c, nil
}

// public reports whether the client cannot authenticate.
func (c *oauthClient) public() bool { return c.secret == "" && c.key == nil }

// authenticate adds the client's authentication to a token request (RFC 6749,
// section 2.3.1; RFC 7523, section 2.2).
func (c *oauthClient) authenticate(server *authServer, form url.Values, h http.Header) error {
	methods := server.Methods
	supports := func(method string) bool { return slices.Contains(methods, method) }
	switch {
	case c.public():
		if len(methods) > 0 && !supports("none") {
			return errors.New("the authorization server wants clients to authenticate")
		}
		form.Set("client_id", c.id)
	case c.key != nil:
		if len(methods) > 0 && !supports("private_key_jwt") {
			return errors.New("the authorization server does not support private_key_jwt")
		}
		assertion, err := c.assertion(server)
		if err != nil {
			return err
		}
		form.Set("client_id", c.id)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	case len(methods) == 0 || supports("client_secret_basic"):
		r := http.Request{Header: h}
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	case supports("client_secret_post"):
		form.Set("client_id", c.id)
		form.Set("client_secret", c.secret)
	default:
		return errors.New("the authorization server supports neither client_secret_basic nor client_secret_post")
	}
	return nil
}

// assertion signs who the client is, for one authorization server alone.
func (c *oauthClient) assertion(server *authServer) (string, error) {
	algorithm, err := c.key.algorithm(server.Algorithms)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if c.key.id != "" {
		options = options.WithHeader("kid", c.key.id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: c.key.key}, options)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	audience, now := server.Issuer, time.Now()
	if audience == "" {
		audience = server.TokenURL
	}
	claims, err := jsonv2.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{c.id, c.id, audience, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	return signed.CompactSerialize()
}
