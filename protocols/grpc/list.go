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

// listKey is the key of what is made of a snapshot: the messages of one kind.
type listKey gateway.Kind

// listed returns the messages that describe a list of the snapshot. They are
// made once for each view and shared by all who ask, so they are not changed.
func listed[C, M any](view *gateway.Snapshot, kind gateway.Kind, all []C, convert func(C) M) []M {
	return view.Memo(listKey(kind), func(*gateway.Snapshot) any {
		out := make([]M, len(all))
		for i, c := range all {
			out[i] = convert(c)
		}
		return out
	}).([]M) //nolint:forcetypeassert // The key stands for the type.
}

// view returns what the caller may see.
func (s *service) view(ctx context.Context) (*gateway.Snapshot, error) {
	p := auth.From(ctx)
	if p == nil {
		return nil, errUnauthenticated()
	}
	return s.gw.View(p), nil
}

func tools(view *gateway.Snapshot) []*gatewayv1.Tool {
	return listed(view, gateway.KindTool, view.Tools, toTool)
}

// ListTools returns a page of tools.
func (s *service) ListTools(ctx context.Context, req *gatewayv1.ListToolsRequest) (*gatewayv1.ListToolsResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := page(tools(view), (*gatewayv1.Tool).GetName, gateway.KindTool, req)
	return &gatewayv1.ListToolsResponse{Tools: page, NextPageToken: next}, err
}

// GetTool returns one tool.
func (s *service) GetTool(ctx context.Context, req *gatewayv1.GetToolRequest) (*gatewayv1.GetToolResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	all := tools(view)
	i, ok := slices.BinarySearchFunc(all, req.GetName(), func(t *gatewayv1.Tool, name string) int { return strings.Compare(t.GetName(), name) })
	if !ok {
		call := &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Name: req.GetName()}
		return nil, failed(ctx, call, gateway.NotFoundError(call, "frontend", nil))
	}
	return &gatewayv1.GetToolResponse{Tool: all[i]}, nil
}

// ListResources returns a page of resources.
func (s *service) ListResources(ctx context.Context, req *gatewayv1.ListResourcesRequest) (*gatewayv1.ListResourcesResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	all := listed(view, gateway.KindResource, view.Resources, toResource)
	page, next, err := page(all, (*gatewayv1.Resource).GetUri, gateway.KindResource, req)
	return &gatewayv1.ListResourcesResponse{Resources: page, NextPageToken: next}, err
}

// ListResourceTemplates returns a page of resource templates.
func (s *service) ListResourceTemplates(ctx context.Context, req *gatewayv1.ListResourceTemplatesRequest) (*gatewayv1.ListResourceTemplatesResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	all := listed(view, gateway.KindTemplate, view.Templates, toTemplate)
	page, next, err := page(all, (*gatewayv1.ResourceTemplate).GetUriTemplate, gateway.KindTemplate, req)
	return &gatewayv1.ListResourceTemplatesResponse{ResourceTemplates: page, NextPageToken: next}, err
}

// ListPrompts returns a page of prompts.
func (s *service) ListPrompts(ctx context.Context, req *gatewayv1.ListPromptsRequest) (*gatewayv1.ListPromptsResponse, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	all := listed(view, gateway.KindPrompt, view.Prompts, toPrompt)
	page, next, err := page(all, (*gatewayv1.Prompt).GetName, gateway.KindPrompt, req)
	return &gatewayv1.ListPromptsResponse{Prompts: page, NextPageToken: next}, err
}

// page returns the part of a sorted list that a request asks for, and the
// token of the part behind it. A token holds the last key that was shown, so
// that it stays good when the list changes.
func page[M proto.Message](all []M, key func(M) string, kind gateway.Kind, req interface {
	GetPageSize() int32
	GetPageToken() string
},
) (part []M, next string, err error) {
	size := int(req.GetPageSize())
	switch {
	case size < 0:
		return nil, "", refuse(gateway.InvalidArgument, "page_size is negative")
	case size == 0:
		size = pageDefault
	}
	size = min(size, pageMost)
	if token := req.GetPageToken(); token != "" {
		last, err := openToken(kind, token)
		if err != nil {
			return nil, "", err
		}
		i, found := slices.BinarySearchFunc(all, last, func(m M, last string) int { return strings.Compare(key(m), last) })
		if found {
			i++
		}
		all = all[i:]
	}
	n, bytes := 0, 0
	for n < min(size, len(all)) && bytes < pageBytes {
		bytes += proto.Size(all[n])
		n++
	}
	if n < len(all) {
		next = pageToken(kind, key(all[n-1]))
	}
	return all[:n], next, nil
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
	return "", refuse(gateway.InvalidArgument, "page_token does not come from this list")
}
