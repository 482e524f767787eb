package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/trilith-gateway/trilith/gateway"
)

// The bounds of conditions.
const (
	maxConditions    = 1000    // different ones in a policy
	maxConditionText = 2 << 10 // bytes of one
	maxCost          = 100_000 // of one evaluation, in CEL's units: about a millisecond
	maxWait          = time.Second
	interruptEvery   = 100 // iterations of a comprehension
)

// A condition is what must be true for its rules to apply.
type condition struct {
	text    string
	program cel.Program
	args    bool // whether it reads the call's arguments
}

// conditionCompiler compiles conditions. The environment is made for the first.
type conditionCompiler struct{ env *cel.Env }

// conditionEnv declares what conditions can read. The names are whole: there is
// no variable principal, only those below, so that a misspelt one is found when
// the policy is parsed.
func conditionEnv() (*cel.Env, error) {
	words := cel.ListType(cel.StringType)
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(50),
		cel.CustomTypeAdapter(jsonAdapter{types.DefaultTypeAdapter}),
		cel.Variable("args", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType),
	}
	for name, kind := range map[string]*cel.Type{
		"principal.id": cel.StringType, "principal.kind": cel.StringType, "principal.issuer": cel.StringType,
		"principal.subject": cel.StringType, "principal.name": cel.StringType, "principal.tenant": cel.StringType,
		"principal.groups": words, "principal.roles": words, "principal.scopes": words,
		"request.via": cel.StringType, "request.op": cel.StringType, "request.object": cel.StringType,
		"cap.name": cel.StringType, "cap.kind": cel.StringType, "cap.source": cel.StringType, "cap.tags": words,
		"cap.annotations.readOnlyHint": cel.BoolType, "cap.annotations.destructiveHint": cel.BoolType,
		"cap.annotations.idempotentHint": cel.BoolType, "cap.annotations.openWorldHint": cel.BoolType,
	} {
		options = append(options, cel.Variable(name, kind))
	}
	return cel.NewEnv(options...)
}

// A conditionError says what is wrong with a condition, and where.
type conditionError struct {
	col int // in characters from 0
	msg string
}

func (e *conditionError) Error() string { return e.msg }

func (c *conditionCompiler) compile(text string) (*condition, error) {
	if len(text) > maxConditionText {
		return nil, &conditionError{msg: fmt.Sprintf("the condition is longer than %d bytes", maxConditionText)}
	}
	if c.env == nil {
		env, err := conditionEnv()
		if err != nil {
			return nil, fmt.Errorf("conditions: %w", err)
		}
		c.env = env
	}
	ast, issues := c.env.Compile(text)
	if errs := issues.Errors(); len(errs) > 0 {
		msg, _, _ := strings.Cut(strings.TrimPrefix(errs[0].Message, "Syntax error: "), "\n")
		return nil, &conditionError{max(errs[0].Location.Column(), 0), "condition: " + strings.Replace(msg, " (in container '')", "", 1)}
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, &conditionError{msg: fmt.Sprintf("condition: it is %s %s, not true or false", article(out.String()), out)}
	}
	program, err := c.env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, &conditionError{msg: "condition: " + err.Error()}
	}
	out := &condition{text: text, program: program}
	for _, r := range ast.NativeRep().ReferenceMap() {
		out.args = out.args || r.Name == "args"
	}
	return out, nil
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// parseCondition compiles the sixth field of a rule, if it has one.
func (p *parser) parseCondition(r *rule) {
	if len(p.fields) <= fieldCondition || p.fields[fieldCondition] == "" {
		return
	}
	text := p.fields[fieldCondition]
	known := p.policy.conditions
	if r.cond = known[text]; r.cond != nil {
		return
	}
	if len(known) >= maxConditions {
		p.problem(fieldCondition, fmt.Sprintf("the policy has more than %d different conditions", maxConditions), "")
		return
	}
	c, err := p.compiler.compile(text)
	if err != nil {
		p.problemAt(p.number, p.column(fieldCondition)+p.columnWithin(err), err.Error(), "")
		return
	}
	known[text], r.cond = c, c
}

// columnWithin returns how far into the field the condition's mistake is.
func (p *parser) columnWithin(err error) int {
	bad, ok := errors.AsType[*conditionError](err)
	if !ok {
		return 0
	}
	if strings.HasPrefix(p.line[p.columns[fieldCondition]:], `"`) {
		return bad.col + 1
	}
	return bad.col
}

// A scene is what the conditions of one decision read. It serves one goroutine.
type scene struct {
	ctx     context.Context //nolint:containedctx // it lasts as long as the decision.
	request *Request
	target  *target
	args    ref.Val // decoded when first asked for

	decided []outcome // what conditions came to, in the order of the questions
}

// An outcome is what a condition came to.
type outcome struct {
	condition *condition
	holds     bool
	err       error // why it could not be evaluated
}

// holds reports whether a rule with the condition applies. Where it cannot be
// evaluated, a rule that allows does not apply and one that denies does.
func (s *scene) holds(c *condition, deny bool) bool {
	o := s.evaluate(c)
	return o.holds || o.err != nil && deny
}

// applies is holds for a rule about any action: for lists, conditions that allow
// are taken to hold and those that deny are not.
func (s *scene) applies(c *condition, deny bool) bool {
	if s.request.Action == "list" {
		return !deny
	}
	return s.holds(c, deny)
}

func (s *scene) evaluate(c *condition) outcome {
	for _, o := range s.decided {
		if o.condition == c {
			return o
		}
	}
	o := outcome{condition: c}
	switch value, _, err := c.program.ContextEval(s.ctx, s); {
	case err != nil:
		o.err = err
	case value == types.True:
		o.holds = true
	case value != types.False:
		o.err = fmt.Errorf("the condition is %s %s, not true or false", article(value.Type().TypeName()), value.Type().TypeName())
	}
	s.decided = append(s.decided, o)
	return o
}

// Parent returns nil: there is nothing behind a scene.
func (s *scene) Parent() cel.Activation { return nil }

// ResolveName returns what a name in a condition stands for.
func (s *scene) ResolveName(name string) (any, bool) {
	switch kind, member, _ := strings.Cut(name, "."); kind {
	case "args":
		if s.args == nil {
			s.args = decodeArgs(s.request.Args)
		}
		return s.args, true
	case "now":
		return s.request.Time, true
	case "principal":
		return principalMember(s.request.Principal, member)
	case "request":
		switch member {
		case "via":
			return s.request.Via, true
		case "op":
			return s.request.Action, true
		case "object":
			return s.request.Object, true
		}
	case "cap":
		if hint, ok := strings.CutPrefix(member, "annotations."); ok {
			return s.target.hint(hint)
		}
		return s.target.member(member)
	}
	return nil, false
}

func principalMember(p *gateway.Principal, name string) (any, bool) {
	switch name {
	case "id":
		return p.ID, true
	case "kind":
		return p.Kind, true
	case "issuer":
		return p.Issuer, true
	case "subject":
		return p.Subject, true
	case "name":
		return p.Name, true
	case "tenant":
		return p.Tenant, true
	case "groups":
		return p.Groups, true
	case "roles":
		return p.Roles, true
	case "scopes":
		return p.Scopes, true
	}
	return nil, false
}

// member returns what a condition reads of a capability. Of what is none, such
// as an area of administration, every text is empty.
func (t *target) member(name string) (any, bool) {
	c := t.capability
	if c == nil {
		c = &gateway.Capability{}
	}
	switch name {
	case "name":
		return c.Name, true
	case "kind":
		if c.Kind == 0 {
			return "", true
		}
		return c.Kind.String(), true
	case "source":
		return c.Source, true
	case "tags":
		return c.Tags, true
	}
	return nil, false
}

// hint returns an annotation of a tool, or what MCP 2026-07-28 takes one for
// that was not given (ToolAnnotations).
func (t *target) hint(name string) (any, bool) {
	var a gateway.Annotations
	if t.tool != nil {
		a = t.tool.Annotations
	}
	or := func(given *bool, otherwise bool) (any, bool) {
		if given != nil {
			return *given, true
		}
		return otherwise, true
	}
	switch name {
	case "readOnlyHint":
		return or(a.ReadOnly, false)
	case "destructiveHint":
		return or(a.Destructive, true)
	case "idempotentHint":
		return or(a.Idempotent, false)
	case "openWorldHint":
		return or(a.OpenWorld, true)
	}
	return nil, false
}
