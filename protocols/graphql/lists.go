package graphql

import (
	"context"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// resolvers are what the generated code runs: one value for each root type. Lists come from the caller's view,
// calls take the road.
type resolvers struct{ f *Frontend }

type (
	query        struct{ *Frontend }
	mutation     struct{ *Frontend }
	subscription struct{ *Frontend }
	callResult   struct{}
)

// Query returns the resolvers of the root type Query.
func (r resolvers) Query() generated.QueryResolver { return query{r.f} }

// Mutation returns the resolvers of the root type Mutation.
func (r resolvers) Mutation() generated.MutationResolver { return mutation{r.f} }

// Subscription returns the resolvers of the root type Subscription.
func (r resolvers) Subscription() generated.SubscriptionResolver { return subscription{r.f} }

// CallResult returns the resolvers of the type CallResult.
func (r resolvers) CallResult() generated.CallResultResolver { return callResult{} }

func (f *Frontend) view(ctx context.Context) *gateway.Snapshot { return f.gw.View(caller(ctx)) }

// Viewer tells who the caller is.
func (q query) Viewer(ctx context.Context) (*generated.Viewer, error) {
	p := caller(ctx)
	if p == nil {
		return nil, errNobody
	}
	v := &generated.Viewer{ID: p.ID, Name: p.Name, Kind: p.Kind, Roles: p.Roles, Session: optional(p.Login), Admin: []*generated.AdminRight{}}
	for _, r := range q.o.Rights(p) {
		v.Admin = append(v.Admin, &generated.AdminRight{Area: r.Area, Read: r.Read, Admin: r.Admin})
	}
	if !p.Expiry.IsZero() {
		v.Expires = &p.Expiry
	}
	return v, nil
}

// Doors are the addresses of the gateway, as its callers reach them.
type Doors struct {
	HTTP string // base URL of MCP, GraphQL and REST
	GRPC string // origin of gRPC, with its port
}

// Doors tells where the gateway is reached.
func (q query) Doors(context.Context) (*generated.Doors, error) {
	return &generated.Doors{HTTP: q.o.Doors.HTTP, Grpc: q.o.Doors.GRPC}, nil
}

// listed lets the gateway know what a list tells.
func (q query) listed(ctx context.Context, kind gateway.Kind, count int) error {
	return q.gw.Listed(ctx, gateway.Listing{Principal: caller(ctx), Via: "graphql", Kind: kind, Count: count})
}

// A Toolset is a selection of what there is, with an endpoint of its own.
type Toolset struct {
	Name        string // as it is configured
	Description string // "" for none
	Path        string // of its MCP endpoint
	Search      bool   // whether the endpoint serves two tools that search and call

	View func(*gateway.Snapshot) *gateway.Snapshot // the part of a view that it selects, kept for as long as the view
}

// An AdminRight is what a principal may do in one area of administration.
type AdminRight struct {
	Area        string
	Read, Admin bool
}

// Toolsets lists the toolsets that have something for the caller: others are none to it.
func (q query) Toolsets(ctx context.Context) ([]*generated.Toolset, error) {
	out := []*generated.Toolset{}
	view := q.view(ctx)
	for _, t := range q.o.Toolsets() {
		has := t.View(view)
		if len(has.Tools)+len(has.Resources)+len(has.Templates)+len(has.Prompts) == 0 {
			continue
		}
		out = append(out, &generated.Toolset{
			Name: t.Name, Description: optional(t.Description), Path: t.Path, Search: t.Search,
			Tools: int32(len(has.Tools)), Resources: int32(len(has.Resources) + len(has.Templates)), Prompts: int32(len(has.Prompts)), //nolint:gosec // Registries are bounded.
		})
	}
	return out, nil
}

// selected returns what the caller may see of a toolset, or of everything where none is named.
func (q query) selected(ctx context.Context, name *string) *gateway.Snapshot {
	view := q.view(ctx)
	if name == nil {
		return view
	}
	for _, t := range q.o.Toolsets() {
		if t.Name == *name {
			return t.View(view)
		}
	}
	return q.gw.View(nil) // Nothing.
}

func toolsetOf(f *generated.CapabilityFilter) *string {
	if f == nil {
		return nil
	}
	return f.Toolset
}

// Tools lists tools.
func (q query) Tools(ctx context.Context, first *int32, after *string, filter *generated.ToolFilter) (*generated.ToolConnection, error) {
	if filter == nil {
		filter = &generated.ToolFilter{}
	}
	match, err := q.matcher(filter.Search, filter.Source, filter.Tag)
	if err != nil {
		return nil, err
	}
	p, err := page(q.selected(ctx, filter.Toolset).Tools, func(t *gateway.Tool) string { return t.Name }, func(t *gateway.Tool) bool {
		readOnly := t.Annotations.ReadOnly != nil && *t.Annotations.ReadOnly
		return match(&t.Capability) && (filter.ReadOnly == nil || *filter.ReadOnly == readOnly)
	}, first, after)
	if err == nil {
		err = q.listed(ctx, gateway.KindTool, len(p.items))
	}
	if err != nil {
		return nil, err
	}
	out := &generated.ToolConnection{PageInfo: p.info, TotalCount: p.total}
	for _, t := range p.items {
		node := toTool(t)
		out.Nodes = append(out.Nodes, node)
		out.Edges = append(out.Edges, &generated.ToolEdge{Cursor: cursor(t.Name), Node: node})
	}
	return out, nil
}

// Tool finds a tool.
func (q query) Tool(ctx context.Context, name string) (*generated.Tool, error) {
	if t := q.view(ctx).Tool(name); t != nil {
		return toTool(t), nil
	}
	return nil, nil
}

// Resources lists resources.
func (q query) Resources(ctx context.Context, first *int32, after *string, filter *generated.CapabilityFilter) (*generated.ResourceConnection, error) {
	match, err := q.filterMatcher(filter)
	if err != nil {
		return nil, err
	}
	p, err := page(q.selected(ctx, toolsetOf(filter)).Resources, func(r *gateway.Resource) string { return r.URI },
		func(r *gateway.Resource) bool { return match(&r.Capability) }, first, after)
	if err == nil {
		err = q.listed(ctx, gateway.KindResource, len(p.items))
	}
	if err != nil {
		return nil, err
	}
	out := &generated.ResourceConnection{PageInfo: p.info, TotalCount: p.total}
	for _, r := range p.items {
		node := toResource(r)
		out.Nodes = append(out.Nodes, node)
		out.Edges = append(out.Edges, &generated.ResourceEdge{Cursor: cursor(r.URI), Node: node})
	}
	return out, nil
}

// Resource finds a resource.
func (q query) Resource(ctx context.Context, uri string) (*generated.Resource, error) {
	if r := q.view(ctx).Resource(uri); r != nil {
		return toResource(r), nil
	}
	return nil, nil
}

// ResourceTemplates lists resource templates.
func (q query) ResourceTemplates(ctx context.Context, first *int32, after *string, filter *generated.CapabilityFilter) (*generated.ResourceTemplateConnection, error) {
	match, err := q.filterMatcher(filter)
	if err != nil {
		return nil, err
	}
	p, err := page(q.selected(ctx, toolsetOf(filter)).Templates, func(t *gateway.Template) string { return t.URITemplate },
		func(t *gateway.Template) bool { return match(&t.Capability) }, first, after)
	if err == nil {
		err = q.listed(ctx, gateway.KindTemplate, len(p.items))
	}
	if err != nil {
		return nil, err
	}
	out := &generated.ResourceTemplateConnection{PageInfo: p.info, TotalCount: p.total}
	for _, t := range p.items {
		node := toTemplate(t)
		out.Nodes = append(out.Nodes, node)
		out.Edges = append(out.Edges, &generated.ResourceTemplateEdge{Cursor: cursor(t.URITemplate), Node: node})
	}
	return out, nil
}

// Prompts lists prompts.
func (q query) Prompts(ctx context.Context, first *int32, after *string, filter *generated.CapabilityFilter) (*generated.PromptConnection, error) {
	match, err := q.filterMatcher(filter)
	if err != nil {
		return nil, err
	}
	p, err := page(q.selected(ctx, toolsetOf(filter)).Prompts, func(p *gateway.Prompt) string { return p.Name },
		func(p *gateway.Prompt) bool { return match(&p.Capability) }, first, after)
	if err == nil {
		err = q.listed(ctx, gateway.KindPrompt, len(p.items))
	}
	if err != nil {
		return nil, err
	}
	out := &generated.PromptConnection{PageInfo: p.info, TotalCount: p.total}
	for _, prompt := range p.items {
		node := toPrompt(prompt)
		out.Nodes = append(out.Nodes, node)
		out.Edges = append(out.Edges, &generated.PromptEdge{Cursor: cursor(prompt.Name), Node: node})
	}
	return out, nil
}

// Prompt finds a prompt.
func (q query) Prompt(ctx context.Context, name string) (*generated.Prompt, error) {
	if p := q.view(ctx).Prompt(name); p != nil {
		return toPrompt(p), nil
	}
	return nil, nil
}

func (f *Frontend) filterMatcher(filter *generated.CapabilityFilter) (func(*gateway.Capability) bool, error) {
	if filter == nil {
		filter = &generated.CapabilityFilter{}
	}
	return f.matcher(filter.Search, filter.Source, filter.Tag)
}
