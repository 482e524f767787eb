package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// maxAnswer bounds an answer of administration, in bytes: an audit page or a
// policy of very many rules.
const maxAnswer = 256 << 20

// administer calls a method of admin.v1 over REST and fills res with the
// answer, which it also returns as it came. A nil req has no body.
func (a *app) administer(ctx context.Context, method, path string, query url.Values, req, res proto.Message) (json.RawMessage, error) {
	token, err := a.token(a.addr)
	if err != nil {
		return nil, err
	}
	var body io.Reader = http.NoBody
	if req != nil {
		b, err := protojson.Marshal(req)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	target := a.base() + "/admin/v1/" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	r.Header = bearer(token)
	if req != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, a.refusedHTTP(answer.StatusCode, raw)
	}
	if res == nil {
		return raw, nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, res); err != nil {
		return nil, notGateway{a.addr, "HTTP", errors.New("the answer is not one of administration")}
	}
	return raw, nil
}

// refusedHTTP returns the failure that a problem document tells of.
func (a *app) refusedHTTP(status int, body []byte) error {
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	switch err := json.Unmarshal(body, &problem); {
	case status == http.StatusUnauthorized:
		return unauthenticated()
	case err != nil || problem.Code == "":
		return notGateway{a.addr, "HTTP", fmt.Errorf("status %d", status)}
	default:
		return fmt.Errorf("%s (%s)", safeText(problem.Detail), safeText(problem.Code))
	}
}

// answer prints the answer of administration: as it came, or as a table.
func (a *app) answer(raw json.RawMessage, head []string, rows [][]string) error {
	if a.output == "json" {
		return a.indent(raw)
	}
	return a.table(head, rows)
}

// message prints a message of administration as JSON.
func (a *app) message(m proto.Message) error {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	return a.indent(raw)
}

// when is a time for people to read, "" for none.
func when(t *timestamppb.Timestamp) string {
	if !t.IsValid() {
		return ""
	}
	return t.AsTime().Local().Format(time.DateTime)
}

func newSessions(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "sessions", Short: "See who is connected, and end that"}
	var principal string
	list := &cobra.Command{
		Use: "list", Short: "List the streams, sockets and sessions that are open", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if principal != "" {
				query.Set("principal", principal)
			}
			var res adminv1.ListSessionsResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "sessions", query, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, s := range res.GetSessions() {
				rows = append(rows, []string{s.GetId(), s.GetNode(), s.GetVia(), s.GetKind(), s.GetPrincipal(), s.GetPrincipalName(), when(s.GetOpened())})
			}
			if missing := res.GetMissingNodes(); len(missing) > 0 {
				if _, err := fmt.Fprintf(a.std.err, "these nodes did not answer: %s\n", printable(strings.Join(missing, ", "))); err != nil {
					return err
				}
			}
			return a.answer(raw, []string{"ID", "NODE", "VIA", "KIND", "PRINCIPAL", "NAME", "OPENED"}, rows)
		},
	}
	list.Flags().StringVar(&principal, "principal", "", "only those of one principal")
	end := &cobra.Command{
		Use: "end ID", Short: "End a session; its client may connect again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.administer(cmd.Context(), http.MethodDelete, "sessions/"+url.PathEscape(args[0]), nil, nil, nil)
			return err
		},
	}
	cmd.AddCommand(list, end, newRevoke(a))
	return cmd
}

func newRevoke(a *app) *cobra.Command {
	var req adminv1.RevokeCredentialsRequest
	cmd := &cobra.Command{
		Use: "revoke", Short: "Refuse credentials that were issued until now, and end what they opened", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.RevokeCredentialsResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "sessions:revoke", nil, &req, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("revoked; %d sessions and calls ended\n", res.GetEnded())
		},
	}
	cmd.Flags().StringVar(&req.Principal, "principal", "", "the id of a principal, all of whose credentials are revoked")
	cmd.Flags().StringVar(&req.TokenId, "token", "", "the id of one token, its claim jti")
	cmd.Flags().StringVar(&req.Issuer, "issuer", "", "with --token: who issued it, its claim iss")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the audit log")
	cmd.MarkFlagsMutuallyExclusive("principal", "token")
	cmd.MarkFlagsOneRequired("principal", "token")
	cmd.MarkFlagsRequiredTogether("token", "issuer")
	return cmd
}

func newKey(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make and revoke API keys"}
	cmd.AddCommand(newKeyCreate(a), &cobra.Command{
		Use: "list", Short: "List the keys, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.ListKeysResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "keys", nil, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, k := range res.GetKeys() {
				rows = append(rows, []string{k.GetId(), k.GetSubject(), fmt.Sprint(k.GetRoles()), when(k.GetExpires()), when(k.GetLastUsed()), k.GetLabel()})
			}
			return a.answer(raw, []string{"ID", "SUBJECT", "ROLES", "EXPIRES", "LAST USED", "LABEL"}, rows)
		},
	}, &cobra.Command{
		Use: "revoke ID", Short: "Revoke a key, and end what was opened with it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.administer(cmd.Context(), http.MethodDelete, "keys/"+url.PathEscape(args[0]), nil, nil, nil)
			return err
		},
	})
	return cmd
}

func newKeyCreate(a *app) *cobra.Command {
	var req adminv1.CreateKeyRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create SUBJECT", Short: "Make a key and print its secret, this once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Subject, req.TtlSeconds = args[0], int64(ttl.Seconds())
			var res adminv1.CreateKeyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "keys", nil, &req, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("%s\n", safeText(res.GetSecret()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Label, "label", "", "what the key is for")
	f.StringSliceVar(&req.Roles, "role", nil, "a role of its principal; may be given more than once")
	f.StringSliceVar(&req.Groups, "group", nil, "a group of its principal; may be given more than once")
	f.StringSliceVar(&req.Scopes, "scope", nil, "a scope that bounds it; may be given more than once")
	f.StringVar(&req.Tenant, "tenant", "", "its tenant, where there are several")
	f.DurationVar(&ttl, "ttl", 90*24*time.Hour, "for how long it is good")
	return cmd
}
