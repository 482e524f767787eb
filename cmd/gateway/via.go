package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// callMCP calls a tool through the MCP door.
func (a *app) callMCP(ctx context.Context, name string, args json.RawMessage, progress func(gateway.Progress)) (*gateway.Result, error) {
	up, err := a.door()
	if err != nil {
		return nil, err
	}
	defer up.Close() //nolint:errcheck // The answer is here.
	return up.Do(ctx, &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: name, Args: args, Progress: progress,
		Target: &gateway.Capability{Kind: gateway.KindTool, Name: name, Origin: name},
	})
}

const toolCall = `subscription ($name: String!, $arguments: JSON) {
  toolCall(name: $name, arguments: $arguments) {
    __typename
    ... on ToolProgress { progress total message }
    ... on ToolFinished { result { raw isError } }
  }
}`

// callGraphQL calls a tool through the GraphQL door, as a subscription over
// server-sent events so that progress is seen.
func (a *app) callGraphQL(ctx context.Context, name string, args json.RawMessage, progress func(gateway.Progress)) (*gateway.Result, error) {
	body, err := json.Marshal(map[string]any{
		"query": toolCall, "variables": map[string]any{"name": name, "arguments": args},
	})
	if err != nil {
		return nil, err
	}
	for e, err := range a.events(ctx, "/graphql", body) {
		if err != nil {
			return nil, err
		}
		if e.name != "next" {
			continue
		}
		var next struct {
			Data struct {
				ToolCall struct {
					Progress json.Number `json:"progress"`
					Total    json.Number `json:"total"`
					Message  string      `json:"message"`
					Result   *struct {
						Raw     json.RawMessage `json:"raw"`
						IsError bool            `json:"isError"`
					} `json:"result"`
				} `json:"toolCall"`
			} `json:"data"`
			Errors []graphqlError `json:"errors"`
		}
		if err := json.Unmarshal(e.data, &next); err != nil {
			return nil, err
		}
		if len(next.Errors) > 0 {
			return nil, next.Errors[0].error()
		}
		t := next.Data.ToolCall
		if t.Result != nil {
			return &gateway.Result{Raw: t.Result.Raw, IsError: t.Result.IsError}, nil
		}
		if progress != nil && t.Progress != "" {
			progress(gateway.Progress{Progress: t.Progress, Total: t.Total, Message: t.Message})
		}
	}
	return nil, errNoResult
}

// callREST calls a tool through the REST door.
func (a *app) callREST(ctx context.Context, name string, args json.RawMessage, progress func(gateway.Progress)) (*gateway.Result, error) {
	for e, err := range a.events(ctx, "/v1/tools/"+url.PathEscape(name)+":call", args) {
		switch {
		case err != nil:
			return nil, err
		case e.name == "result":
			return gateway.NewResult(e.data)
		case e.name == "error":
			return nil, cmp.Or(problem(e.data), errNoResult)
		case e.name == "progress" && progress != nil:
			var p struct {
				Progress json.Number `json:"progress"`
				Total    json.Number `json:"total"`
				Message  string      `json:"message"`
			}
			if err := json.Unmarshal(e.data, &p); err != nil {
				return nil, err
			}
			progress(gateway.Progress{Progress: p.Progress, Total: p.Total, Message: p.Message})
		}
	}
	return nil, errNoResult
}

var errNoResult = errors.New("the gateway ended the stream without a result")

// An event is one server-sent event.
type event struct {
	name string
	data []byte
}

// events posts a body and yields the events of the answer.
func (a *app) events(ctx context.Context, path string, body []byte) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base()+path, bytes.NewReader(body))
		if err != nil {
			yield(event{}, err)
			return
		}
		token, err := a.token(a.addr)
		if err != nil {
			yield(event{}, err)
			return
		}
		req.Header = bearer(token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "text/event-stream")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			yield(event{}, err)
			return
		}
		defer res.Body.Close() //nolint:errcheck // It was read as far as it matters.
		if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
			b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // What there is of it.
			yield(event{}, a.refusal(res, b))
			return
		}
		readEvents(res.Body, yield)
	}
}

// refusal is the error of an answer that is not a stream.
func (a *app) refusal(res *http.Response, body []byte) error {
	err := problem(body)
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return &gateway.Error{Code: gateway.Unauthenticated, By: "gateway", Msg: res.Status}
	case err == nil:
		return notGateway{a.addr, "HTTP", errors.New(res.Status)}
	}
	return err
}

// A graphqlError is one error of a GraphQL answer.
type graphqlError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

func (e graphqlError) error() error { return said(e.Message, e.Extensions.Code) }

// said is an error in the words of the gateway.
func said(msg, code string) error {
	if code == "" {
		return errors.New(msg)
	}
	return fmt.Errorf("%s (%s)", msg, code)
}

// problem reads the message out of a problem document (RFC 9457) or a GraphQL
// answer with errors. It returns nil for anything else.
func problem(body []byte) error {
	var p struct {
		Title  string         `json:"title"`
		Detail string         `json:"detail"`
		Code   string         `json:"code"`
		Errors []graphqlError `json:"errors"`
	}
	if json.Unmarshal(body, &p) != nil {
		return nil //nolint:nilerr // It is something else, and says nothing.
	}
	switch msg := cmp.Or(p.Detail, p.Title); {
	case len(p.Errors) > 0 && p.Errors[0].Message != "":
		return p.Errors[0].error()
	case msg != "":
		return said(msg, p.Code)
	}
	return nil
}

// maxEvent bounds one line of a stream, in bytes.
const maxEvent = 64 << 20

// readEvents parses server-sent events (WHATWG HTML, 9.2.6).
func readEvents(r io.Reader, yield func(event, error) bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var e event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "data":
			if e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		case "": // A blank line ends the event; a comment begins with a colon.
			if lines.Text() == "" && (e.data != nil || e.name != "") {
				if !yield(e, nil) {
					return
				}
				e = event{}
			}
		}
	}
	if err := lines.Err(); err != nil {
		yield(event{}, fmt.Errorf("read events: %w", err))
	}
}
