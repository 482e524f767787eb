package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Revoke asks a revocation endpoint to end a token (RFC 7009, section 2.1). A
// public client, which has no secret, names itself in the form.
func Revoke(ctx context.Context, client *http.Client, endpoint string, form url.Values, id, secret string) error {
	if secret == "" {
		form.Set("client_id", id)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) // RFC 6749, section 2.3.1
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // Nothing of it is read.
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the revocation endpoint answered %d", res.StatusCode)
	}
	return nil
}
