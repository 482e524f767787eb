package server

import (
	"fmt"
	"os"
	"slices"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/toolset"
	graphqldoor "github.com/trilith-gateway/trilith/protocols/graphql"
	"github.com/trilith-gateway/trilith/schema"
)

// openGraphQL opens the GraphQL door.
func (s *Server) openGraphQL(cfg *config.Config, bounds schema.Bounds) (err error) {
	g := cfg.GraphQL
	o := graphqldoor.Options{
		Authenticate: s.door.Authenticate, Bounds: bounds, Logger: s.log,
		Connections: cfg.Limits.StreamsPerPrincipal, OriginPatterns: s.socketOrigins(cfg), Sessions: &s.sessions, Admin: s.admin, Exceeded: s.traffic.Exceed,
		Introspection: slices.Contains(g.Introspection, "*"), IntrospectionRoles: g.Introspection,
		Limits:  graphqldoor.Limits{Cost: g.Limits.Cost, Measure: map[string]bool{}},
		Budgets: map[string]int{}, Roles: s.policy.Roles, Timeout: g.Timeout, Response: int(g.Response),
		Rights: s.rights, Toolsets: func() []graphqldoor.Toolset { return s.toolsets.shown() },
		Doors: graphqldoor.Doors{HTTP: s.base, GRPC: s.grpcBase},
	}
	if s.cluster != nil {
		o.Cluster = askers{s.cluster}
	}
	measure := g.Limits.Measure
	if g.Limits.Mode == "measure" {
		measure = graphqldoor.LimitNames()
	}
	for _, name := range measure {
		o.Limits.Measure[name] = true
	}
	for _, b := range g.Limits.Roles {
		o.Budgets[b.Role] = max(o.Budgets[b.Role], b.Cost)
	}
	if o.ToolCost, err = toolCosts(g.Limits.Tools); err != nil {
		return err
	}
	if o.Documents, err = trustedDocuments(g.Documents); err != nil {
		return err
	}
	if s.graphql, err = graphqldoor.NewFrontend(s.gateway, o); err != nil {
		return err
	}
	s.onClose(s.graphql.Close)
	return nil
}

// rights returns what a principal may administer, as far as that can be said in advance.
func (s *Server) rights(p *gateway.Principal) []graphqldoor.AdminRight {
	var out []graphqldoor.AdminRight
	for _, r := range s.scopes.Narrow(p, s.policy.Rights(p)) {
		out = append(out, graphqldoor.AdminRight(r))
	}
	return out
}

// toolCosts returns what calls of tools cost; 0 says nothing.
func toolCosts(rules []config.GraphQLToolCost) (func(string) int, error) {
	patterns := make([]toolset.Patterns, len(rules))
	for i, r := range rules {
		var err error
		if patterns[i], err = toolset.NewPatterns(r.Match...); err != nil {
			return nil, err
		}
	}
	return func(tool string) int {
		for i := range patterns {
			if patterns[i].Match(tool) {
				return rules[i].Cost
			}
		}
		return 0
	}, nil
}

// trustedDocuments reads the documents that are trusted, or returns nil where all are.
func trustedDocuments(c config.GraphQLDocuments) (*graphqldoor.Documents, error) {
	if c.Mode == "off" && c.File == "" {
		return nil, nil
	}
	data := []byte("{}")
	if c.File != "" {
		var err error
		if data, err = os.ReadFile(c.File); err != nil {
			return nil, fmt.Errorf("graphql.documents: %w", err)
		}
	}
	d, err := graphqldoor.ParseDocuments(data, graphqldoor.Trust(c.Mode), c.Except)
	if err != nil {
		return nil, fmt.Errorf("graphql.documents: %s: %w", c.File, err)
	}
	return d, nil
}

// doorNotes returns what doors do not show as the registry has it.
func (s *Server) doorNotes(source string) []gateway.Note {
	var notes []gateway.Note
	if s.graphql != nil {
		notes = s.graphql.Notes(source)
	}
	if s.grpc != nil {
		notes = append(notes, s.grpc.Notes(source)...)
	}
	return notes
}
