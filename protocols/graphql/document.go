package graphql

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// A document is a parsed document that has passed the limits and validation. It is shared and never changed.
type document struct {
	doc        *ast.QueryDocument
	schema     *ast.Schema  // as much of the view as the document needs
	lifted     []*ast.Value // JSON literals that were replaced by the variables "0", "1", ...
	targets    map[*ast.FieldDefinition]*target
	costs      map[*ast.OperationDefinition]int
	introspect bool // whether it asks for the schema
	steps      int  // selections that were looked at to find its measures
	exceeded   excesses
}

// prepare makes an operation ready to run, or says what is wrong with the request.
func (f *Frontend) prepare(ctx context.Context, p *gateway.Principal, r *request) (*graphql.OperationContext, gqlerror.List) {
	if err := f.o.Documents.admit(f, p, r); err != nil {
		return nil, gqlerror.List{err}
	}
	v := f.views.of(f.gw.View(p))
	d, errs := f.document(ctx, v, r.Query)
	if errs != nil {
		return nil, errs
	}
	f.measured.noteAll(d.exceeded)
	op := d.doc.Operations.ForName(r.OperationName)
	if op == nil {
		return nil, gqlerror.List{fault(codeValidation, "operationName does not name an operation of the document")}
	}
	if err := f.allows(p, d, op); err != nil {
		return nil, gqlerror.List{err}
	}
	known := &preparation{view: v, document: d}
	vars, err := f.variables(known, op, r.Variables)
	if err != nil {
		return nil, gqlerror.List{err}
	}
	if d.introspect { // Here, since answers to it are kept.
		if err := f.gw.Listed(ctx, gateway.Listing{Principal: p, Via: door, Count: v.types.Len()}); err != nil {
			return nil, list(err)
		}
	}
	out := &graphql.OperationContext{
		RawQuery:               r.Query,
		OperationName:          r.OperationName,
		Doc:                    d.doc,
		Operation:              op,
		Variables:              vars,
		RecoverFunc:            recovered,
		ResolverMiddleware:     counted,
		RootResolverMiddleware: func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(ctx) },
	}
	out.Stats.SetExtension(preparationKey, known)
	// Validation has counted the fields, but @skip may have left none.
	if op.Operation == ast.Subscription && len(graphql.CollectFields(out, op.SelectionSet, []string{"Subscription"})) != 1 {
		return nil, gqlerror.List{fault(codeValidation, "a subscription must select exactly one field")}
	}
	return out, nil
}

// allows refuses what this caller may not ask for.
func (f *Frontend) allows(p *gateway.Principal, d *document, op *ast.OperationDefinition) *gqlerror.Error {
	if d.introspect && !f.o.Introspection && !f.hasRole(p, f.o.IntrospectionRoles) {
		return fault(codeValidation, "introspection is switched off")
	}
	var over excesses // Not of the document: it depends on who asks.
	err := f.within(&over, "cost", d.costs[op], f.budget(p), "units of cost")
	f.measured.noteAll(over)
	return err
}

func (f *Frontend) hasRole(p *gateway.Principal, roles []string) bool {
	return len(roles) > 0 && p != nil && slices.ContainsFunc(f.o.Roles(p), func(r string) bool { return slices.Contains(roles, r) })
}

// budget returns what one operation of a caller may cost.
func (f *Frontend) budget(p *gateway.Principal) int {
	if len(f.o.Budgets) == 0 || p == nil {
		return f.o.Limits.Cost
	}
	most := 0
	for _, r := range f.o.Roles(p) {
		most = max(most, f.o.Budgets[r])
	}
	if most == 0 {
		return f.o.Limits.Cost
	}
	return most
}

// parseDocument parses a document of no more tokens than there may be.
func (f *Frontend) parseDocument(query string) (*document, error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, f.o.Limits.Tokens)
	if err == nil {
		return &document{doc: doc}, nil
	}
	if !f.o.Limits.Measure["tokens"] {
		return nil, err
	}
	doc, second := parser.ParseQuery(&ast.Source{Input: query})
	if second != nil {
		return nil, err
	}
	over := excess{"tokens", f.o.Limits.Tokens + 1, f.o.Limits.Tokens} // How many, the parser does not say.
	return &document{doc: doc, exceeded: excesses{over}}, nil
}

// document parses, measures and validates, in this order, or takes the result from the cache.
func (f *Frontend) document(ctx context.Context, v *view, query string) (*document, gqlerror.List) {
	key := v.id + " " + query
	if d, ok := f.documents.Get(ctx, key); ok {
		return d, nil
	}
	var over excesses
	if err := f.within(&over, "bytes", len(query), f.o.Limits.Bytes, "bytes"); err != nil {
		return nil, gqlerror.List{err}
	}
	d, err := f.parseDocument(query)
	if err != nil {
		return nil, gqlerror.List{withCode(err, codeParse)}
	}
	doc := d.doc
	if len(doc.Operations) == 0 {
		return nil, gqlerror.List{fault(codeValidation, "the document has no operation")}
	}
	d.exceeded.add(over...)
	if err := f.check(d, v.table); err != nil {
		return nil, gqlerror.List{err}
	}
	d.schema = v.types.For(doc)
	if errs := validator.ValidateWithRules(d.schema, doc, quietRules()); len(errs) > 0 {
		for i := range errs {
			errs[i] = withCode(errs[i], codeValidation)
		}
		return nil, errs[:min(len(errs), maxErrors)]
	}
	d.rewrite(v.table)
	if err := d.lift(); err != nil {
		return nil, gqlerror.List{err}
	}
	if len(query) <= maxCachedDocument {
		f.documents.Add(ctx, key, d)
	}
	return d, nil
}

// maxErrors and maxMessage, in bytes, bound the answer to a hopeless document.
const (
	maxErrors  = 10
	maxMessage = 512
)

// quietRules are the rules of validation without suggestions, which take time to find.
func quietRules() *rules.Rules {
	r := rules.NewDefaultRules()
	for _, rule := range []struct{ loud, quiet core.Rule }{
		{rules.FieldsOnCorrectTypeRule, rules.FieldsOnCorrectTypeRuleWithoutSuggestions},
		{rules.KnownArgumentNamesRule, rules.KnownArgumentNamesRuleWithoutSuggestions},
		{rules.KnownTypeNamesRule, rules.KnownTypeNamesRuleWithoutSuggestions},
		{rules.ScalarLeafsRule, rules.ScalarLeafsRuleWithoutSuggestions},
		{rules.ValuesOfCorrectTypeRule, rules.ValuesOfCorrectTypeRuleWithoutSuggestions},
	} {
		r.RemoveRule(rule.loud.Name)
		r.AddRule(rule.quiet.Name, rule.quiet.RuleFunc)
	}
	return r
}

// withCode returns a copy of the library's error with our code and none of its own extensions. Its message quotes
// the document, so the record has only the code, the rule and the place.
func withCode(err error, code string) *gqlerror.Error {
	out, cause := fault(code, code), code
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		out.Message, out.Locations, out.Path = clip.Text(e.Message, maxMessage), e.Locations, e.Path
		if e.Rule != "" {
			cause += " " + e.Rule
		}
		if len(e.Locations) > 0 {
			cause += " at " + e.Locations[0].String()
		}
	} else {
		out.Message = clip.Text(err.Error(), maxMessage)
	}
	out.Err = invalidArgument(cause)
	return out
}

// lift replaces every literal of type JSON by a variable, whose value each request makes with appendJSON: the
// generated code would decode the literal, and lose what does not fit a Go number. It also refuses what the
// generated code would panic on: integers beyond 32 bits where an Int is wanted.
func (d *document) lift() *gqlerror.Error {
	for _, op := range d.doc.Operations {
		for _, v := range op.VariableDefinitions {
			if err := fitting(v.DefaultValue); err != nil {
				return err
			}
		}
		if err := d.liftSet(op.SelectionSet); err != nil {
			return err
		}
	}
	for _, f := range d.doc.Fragments {
		if err := d.liftSet(f.SelectionSet); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) liftSet(set ast.SelectionSet) *gqlerror.Error {
	for _, selection := range set {
		var below ast.SelectionSet
		switch n := selection.(type) {
		case *ast.Field:
			if err := d.liftArguments(n); err != nil {
				return err
			}
			below = n.SelectionSet
		case *ast.InlineFragment:
			below = n.SelectionSet
		}
		if err := d.liftSet(below); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) liftArguments(f *ast.Field) *gqlerror.Error {
	if d.targets[f.Definition] != nil {
		return nil // Arguments of tools have a coercion of their own.
	}
	for _, arg := range f.Arguments {
		if err := fitting(arg.Value); err != nil {
			return err
		}
		if def := f.Definition.Arguments.ForName(arg.Name); def == nil || def.Type.NamedType != scalarJSON {
			continue
		}
		if arg.Value.Kind == ast.Variable || arg.Value.Kind == ast.NullValue {
			continue
		}
		name := strconv.Itoa(len(d.lifted)) // No name of GraphQL begins with a digit.
		d.lifted = append(d.lifted, arg.Value)
		arg.Value = &ast.Value{Kind: ast.Variable, Raw: name, Position: arg.Value.Position}
	}
	return nil
}

// fitting refuses integers that no Int can hold and enum values in JSON.
func fitting(v *ast.Value) *gqlerror.Error {
	if v == nil {
		return nil
	}
	json := v.Definition == nil || v.Definition.Name == scalarJSON
	switch {
	case unsafeInt(v):
		return invalidValue(v, "SafeInt is a number that JavaScript holds exactly")
	case v.Kind == ast.IntValue && !json && v.Definition.Name != scalarSafeInt:
		if _, err := strconv.ParseInt(v.Raw, 10, 32); err != nil {
			return invalidValue(v, "Int is a number of 32 bits")
		}
	case v.Kind == ast.EnumValue && json:
		return invalidValue(v, "JSON has no enum values: write a string")
	}
	for _, c := range v.Children {
		if err := fitting(c.Value); err != nil {
			return err
		}
	}
	return nil
}

// unsafeInt reports whether a literal stands for a SafeInt and is none.
func unsafeInt(v *ast.Value) bool {
	if v.Definition == nil || v.Definition.Name != scalarSafeInt || v.Kind == ast.Variable || v.Kind == ast.NullValue {
		return false
	}
	_, ok := safeInt(v.Raw)
	return v.Kind != ast.IntValue || !ok
}

func invalidValue(v *ast.Value, message string) *gqlerror.Error {
	err := fault(codeValidation, message)
	if v.Position != nil {
		err.Locations = []gqlerror.Location{{Line: v.Position.Line, Column: v.Position.Column}}
	}
	return err
}
