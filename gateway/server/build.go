package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
	grpcdoor "github.com/trilith-gateway/trilith/protocols/grpc"
	"github.com/trilith-gateway/trilith/protocols/mcp"
	"github.com/trilith-gateway/trilith/schema"
)

// listen binds both listeners, so that a taken port is the first thing that
// fails and the public URL is known to all that follows.
func (s *Server) listen(ctx context.Context, cfg *config.Config) (err error) {
	if s.options.Local {
		return nil
	}
	var lc net.ListenConfig
	if s.httpL, err = lc.Listen(ctx, "tcp", cfg.Listen.HTTP); err != nil {
		return err
	}
	s.onClose(s.httpL.Close)
	if s.grpcL, err = lc.Listen(ctx, "tcp", cfg.Listen.GRPC); err != nil {
		return err
	}
	s.onClose(s.grpcL.Close)
	scheme := "http://"
	if cfg.Listen.TLS != nil {
		scheme = "https://"
	}
	if s.base = cfg.Listen.PublicURL; s.base == "" {
		s.base = scheme + s.httpL.Addr().String()
	}
	s.grpcBase, err = grpcOrigin(cfg, scheme, s.grpcL.Addr())
	return err
}

// grpcOrigin returns the origin by which callers reach the gRPC door, always with
// a port, as clients of gRPC want it.
func grpcOrigin(cfg *config.Config, scheme string, at net.Addr) (string, error) {
	l := cfg.Listen
	switch {
	case l.PublicGRPCURL != "":
		u, err := url.Parse(l.PublicGRPCURL)
		if err != nil {
			return "", err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port), nil
	case l.PublicURL == "": // Both are on loopback.
		return scheme + at.String(), nil
	}
	u, err := url.Parse(l.PublicURL)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(at.String())
	return scheme + net.JoinHostPort(u.Hostname(), port), err
}

func (s *Server) openState(ctx context.Context, cfg *config.Config) (err error) {
	o := state.Options{
		URL: cfg.State.NATSURL, CredentialsFile: cfg.State.Credentials, Replicas: cfg.State.Replicas, Logger: s.log,
	}
	if cfg.State.NATSURL == "" && cfg.Data != "" {
		o.Dir = cfg.StateDir()
	}
	if s.state, err = state.Open(ctx, o); err == nil {
		s.onClose(s.state.Close)
	}
	return err
}

func (s *Server) openAudit(_ context.Context, cfg *config.Config) (err error) {
	level := audit.LevelRequest
	if cfg.Audit.RedactArguments {
		level = audit.LevelMetadata
	}
	var rules []audit.Redaction
	for _, r := range cfg.Audit.Redaction {
		rules = append(rules, audit.Redaction{Objects: r.Objects, Level: audit.Level(r.Level), Keep: r.Keep})
	}
	s.audit, err = audit.Open(audit.Options{
		Dir: cfg.AuditDir(), SegmentBytes: int64(cfg.Audit.SegmentBytes), Node: s.state.Name(), Index: true, Compress: true,
		Level: level, Redactions: rules, Logger: s.log,
		RetainAge: cfg.Audit.RetainAge, RetainBytes: int64(cfg.Audit.RetainBytes),
		Modes: audit.Modes{
			Call: audit.Mode(cfg.Audit.Modes.Call), Read: audit.Mode(cfg.Audit.Modes.Read), List: audit.Mode(cfg.Audit.Modes.List),
		},
	})
	if err == nil {
		s.onClose(s.audit.Close)
	}
	return err
}

// loadPolicy reads the policy from its file or from the shared state. Without
// one, nobody may do anything.
func (s *Server) loadPolicy(ctx context.Context, cfg *config.Config) error {
	sets, err := selectors(cfg)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain) // As in openNodes.
	defer cancel()
	if s.policies, err = policy.OpenStore(opening, s.state, policy.StoreOptions{
		Initial:  string(s.initialPolicy()),
		Snapshot: s.registry.Snapshot,
		Toolsets: func() policy.Toolsets { return s.policy.Toolsets() },
		ReadOnly: func() bool { return s.config.Load().Policy.File != "" },
		Logger:   s.log,
	}); err != nil {
		return err
	}
	p, err := s.readPolicy(ctx, cfg)
	if err == nil {
		err = known(p, sets)
	}
	if err != nil {
		return err
	}
	s.policy = policy.NewEnforcer(p, policy.Options{Toolsets: sets, Snapshot: s.registry.Snapshot, Logger: s.log})
	return nil
}

// selectors returns the toolsets that a policy can name.
func selectors(cfg *config.Config) (policy.Toolsets, error) {
	sets := policy.Toolsets{}
	for _, c := range cfg.Toolsets {
		set, err := newToolset(c)
		if err != nil {
			return nil, err
		}
		sets[c.Name] = set
	}
	return sets, nil
}

// known refuses a policy that names a toolset which the configuration has not.
func known(p *policy.Policy, sets policy.Toolsets) error {
	if problems := p.Unknown(sets); len(problems) > 0 {
		return problems
	}
	return nil
}

// readPolicy returns the policy that a configuration puts in force: that of its
// file, or else the version in force in the shared state.
func (s *Server) readPolicy(ctx context.Context, cfg *config.Config) (*policy.Policy, error) {
	if cfg.Policy.File != "" {
		csv, err := os.ReadFile(cfg.Policy.File)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(csv)) == 0 { // As [config.WatchFile] has it: some programs empty a file before they write it.
			return nil, fmt.Errorf("%s is empty; a policy that allows nothing is a file with a comment", cfg.Policy.File)
		}
		return policy.Parse(cfg.Policy.File, csv)
	}
	now, err := s.policies.Load(ctx)
	switch {
	case err == nil:
		return now.Policy, nil
	case !errors.Is(err, policy.ErrNotFound):
		return nil, err
	}
	return policy.Parse("built-in policy", s.initialPolicy())
}

// initialPolicy is what is in force before there is any version: the first API
// key may put one in force, and nobody may do anything else.
func (s *Server) initialPolicy() []byte {
	if s.options.Dev != nil {
		return devPolicy(s.options.Dev)
	}
	return []byte("# The first API key may administer the gateway.\np, client:key|first, *, admin/**, *, allow\n")
}

// joinRoad makes the road.
func (s *Server) joinRoad(ctx context.Context, cfg *config.Config) (err error) {
	if s.scopes, err = scopesOf(cfg); err != nil {
		return err
	}
	if err := s.openLimits(ctx, cfg); err != nil {
		return err
	}
	s.gateway, err = s.road(s.registry)
	return err
}

// road returns a gateway over a registry. Observers see everything; gates are
// asked in this order: whoever may not use a capability learns nothing of its
// schema. Narrower gates stand after the policy. What all others admit is put on
// record last, where that comes first.
func (s *Server) road(r *gateway.Registry, narrower ...gateway.Gate) (*gateway.Gateway, error) {
	gates := []gateway.Gate{s.audit.Gate(), credentialGate{s}, s.policy}
	if s.scopes != nil {
		gates = append(gates, s.scopes)
	}
	gates = append(gates, narrower...)
	return gateway.New(r, s.observers(), append(gates, s.limits, gateway.ValidateArgs{}, s.audit.Intents()))
}

// observers see every call, the outermost first.
func (s *Server) observers() []gateway.Observer { return []gateway.Observer{s.traffic, s.audit} }

// openDoors makes the frontends and mounts them behind the Door.
func (s *Server) openDoors(ctx context.Context, cfg *config.Config) (err error) {
	bounds := schema.Bounds{Bytes: int(cfg.Limits.BodyBytes), Depth: cfg.Limits.JSONDepth, Tokens: cfg.Limits.JSONTokens}
	s.sessions.Check = s.unwelcome
	s.sessions.Process = s.state.Instance()[:sessionPrefix] + "-"
	s.mcpOptions = mcp.FrontendOptions{
		Name: "trilith", Version: s.options.Version, Bounds: bounds, Logger: s.log,
		Challenge: s.stepUp, Sessions: &s.sessions, SessionsPerPrincipal: cfg.Limits.SessionsPerPrincipal, StreamsPerPrincipal: cfg.Limits.StreamsPerPrincipal,
	}
	if s.mcpOptions.SessionKey, err = s.sharedKey(ctx, "mcp-session"); err != nil {
		return err
	}
	if s.mcpOptions.Events, err = s.openEvents(ctx, cfg); err != nil {
		return err
	}
	if s.mcpOptions.Tasks, err = s.openTasks(ctx, cfg.State.NATSURL == ""); err != nil {
		return err
	}
	if err := s.openCluster(ctx, cfg); err != nil {
		return err
	}
	s.mcpOptions.Cluster = s.cluster.of("")
	s.mcp = mcp.NewFrontend(s.gateway, s.mcpOptions)
	s.onClose(s.mcp.Close)
	if s.options.Local {
		return nil
	}
	if s.admin, err = s.administration(ctx, cfg); err != nil {
		return err
	}
	if err := s.openGraphQL(cfg, bounds); err != nil {
		return err
	}
	typed := s.typedGRPC(cfg)
	typed.Bounds, typed.Challenge, typed.Logger, typed.StreamsPerPrincipal = bounds, s.stepUp, s.log, cfg.Limits.StreamsPerPrincipal
	typed.MaxMessage, typed.Sessions, typed.Admin = max(grpcMessage, int(cfg.Limits.BodyBytes)+grpcEnvelope), &s.sessions, s.admin
	typed.URL, typed.KeyHeader, typed.Issuers = s.base, keyHeader(cfg), issuerURLs(cfg)
	if s.grpc, err = grpcdoor.NewFrontend(s.gateway, typed); err != nil {
		return err
	}
	creds, err := serverTLS(cfg.Listen.TLS, s.log)
	if err != nil {
		return err
	}
	options := []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.door.Unary()), grpc.ChainStreamInterceptor(s.door.Stream(s.grpc.HeedsExpiry))}
	if creds != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(creds)))
	}
	s.grpcS = s.grpc.Server(options...)
	if err := s.openToolsets(cfg); err != nil {
		return err
	}
	if err := s.cluster.serve(ctx); err != nil {
		return err
	}
	s.onClose(func() error { s.grpcS.Stop(); return nil })
	s.http = s.newHTTP(creds)
	calls, cutOff := context.WithCancelCause(context.WithoutCancel(ctx))
	s.cutOff, s.http.BaseContext = cutOff, func(net.Listener) context.Context { return calls }
	s.onClose(func() error { cutOff(nil); return nil })
	s.onClose(s.http.Close)
	return nil
}

// Bytes of a gRPC message: at least grpcMessage, which answers may need too, and
// room for what stands around a body that is as long as it may be.
const (
	grpcMessage  = 4 << 20
	grpcEnvelope = 64 << 10
)

// bodyPatience is how long a client may take to send one request's body.
const bodyPatience = 30 * time.Second
