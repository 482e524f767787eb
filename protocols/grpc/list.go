package grpc

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// The sizes of a page.
const (
	pageDefault = 100
	pageMost    = 1000
	pageBytes   = 1 << 20 // beyond which a page gets no further entry
	tokenMost   = 4096    // longer than the token of the longest URI
)

// view returns what the caller may see.
func (s *service) view(ctx context.Context) (*gateway.Snapshot, error) {
	p := auth.From(ctx)
	if p == nil {
		return nil, errUnauthenticated()
	}
	return s.gw.View(p), nil
}

// listed lets the gateway know what a list tells.
func (s *service) listed(ctx context.Context, kind gateway.Kind, count int) error {
	if err := s.gw.Listed(ctx, gateway.Listing{Principal: auth.From(ctx), Via: s.via, Kind: kind, Count: count}); err != nil {
		return &callError{err: gateway.AsError(err), recorded: true}
	}
	return nil
}

// ListTools returns a page of tools.
func (s *service) ListTools(ctx context.Context, req *gatewayv1.ListToolsRequest) (*gatewayv1.ListToolsResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := page(gateway.KindTool, view.Tools, toolName, toTool, req)
	if err == nil {
		err = s.listed(ctx, gateway.KindTool, len(page))
	}
	return &gatewayv1.ListToolsResponse{Tools: page, NextPageToken: next}, err
}

// GetTool returns one tool.
func (s *service) GetTool(ctx context.Context, req *gatewayv1.GetToolRequest) (*gatewayv1.GetToolResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	t := view.Tool(req.GetName())
	if t == nil {
		call := &gateway.Call{Kind: gateway.KindTool, Name: req.GetName()}
		return nil, &callError{call: call, err: gateway.NotFoundError(call, "", nil)}
	}
	return &gatewayv1.GetToolResponse{Tool: toTool(t)}, nil
}

// ListResources returns a page of resources.
func (s *service) ListResources(ctx context.Context, req *gatewayv1.ListResourcesRequest) (*gatewayv1.ListResourcesResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := page(gateway.KindResource, view.Resources, resourceURI, toResource, req)
	if err == nil {
		err = s.listed(ctx, gateway.KindResource, len(page))
	}
	return &gatewayv1.ListResourcesResponse{Resources: page, NextPageToken: next}, err
}

// ListResourceTemplates returns a page of resource templates.
func (s *service) ListResourceTemplates(ctx context.Context, req *gatewayv1.ListResourceTemplatesRequest) (*gatewayv1.ListResourceTemplatesResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := page(gateway.KindTemplate, view.Templates, templateURI, toTemplate, req)
	if err == nil {
		err = s.listed(ctx, gateway.KindTemplate, len(page))
	}
	return &gatewayv1.ListResourceTemplatesResponse{ResourceTemplates: page, NextPageToken: next}, err
}

// ListPrompts returns a page of prompts.
func (s *service) ListPrompts(ctx context.Context, req *gatewayv1.ListPromptsRequest) (*gatewayv1.ListPromptsResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := page(gateway.KindPrompt, view.Prompts, promptName, toPrompt, req)
	if err == nil {
		err = s.listed(ctx, gateway.KindPrompt, len(page))
	}
	return &gatewayv1.ListPromptsResponse{Prompts: page, NextPageToken: next}, err
}

func toolName(t *gateway.Tool) string        { return t.Name }
func resourceURI(r *gateway.Resource) string { return r.URI }
func templateURI(t *gateway.Template) string { return t.URITemplate }
func promptName(p *gateway.Prompt) string    { return p.Name }

// A pageRequest is what all requests of lists have.
type pageRequest interface {
	GetPageSize() int32
	GetPageToken() string
}

// page returns the part of a list, sorted by key, that a request asks for, and
// the token of the part behind it. A token holds the last key that was shown,
// so that it stays good when the list changes.
func page[C any, M proto.Message](kind gateway.Kind, all []C, key func(C) string, convert func(C) M, req pageRequest) (part []M, next string, err error) {
	size := int(req.GetPageSize())
	switch {
	case size < 0:
		return nil, "", refuse(nil, gateway.InvalidArgument, "page_size is negative")
	case size == 0:
		size = pageDefault
	}
	if token := req.GetPageToken(); token != "" {
		last, err := openToken(kind, token)
		if err != nil {
			return nil, "", err
		}
		i, found := slices.BinarySearchFunc(all, last, func(c C, last string) int { return strings.Compare(key(c), last) })
		if found {
			i++
		}
		all = all[i:]
	}
	size = min(size, pageMost, len(all))
	part = make([]M, 0, size)
	for bytes := 0; len(part) < size && bytes < pageBytes; {
		m := convert(all[len(part)])
		bytes += proto.Size(m)
		part = append(part, m)
	}
	if n := len(part); n < len(all) {
		next = pageToken(kind, key(all[n-1]))
	}
	return part, next, nil
}

// pageToken returns the token of the page behind the entry with that key.
func pageToken(kind gateway.Kind, last string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(kind)}, last...))
}

// openToken returns the key in a token of a list of that kind.
func openToken(kind gateway.Kind, token string) (last string, err error) {
	if len(token) <= tokenMost {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err == nil && len(raw) > 0 && pageToken(kind, string(raw[1:])) == token { // The decoder skips line breaks.
			return string(raw[1:]), nil
		}
	}
	return "", refuse(nil, gateway.InvalidArgument, "page_token does not come from this list")
}
