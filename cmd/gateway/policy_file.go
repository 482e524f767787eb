package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/policy"
)

// A policyFile is a policy that somebody wrote into a file: Casbin's CSV, or
// YAML where its name ends in .yaml or .yml. The gateway takes CSV alone.
type policyFile struct {
	csv    string
	checks *string          // nil: the saved ones
	yaml   *policy.Document // nil for CSV
}

// readPolicy reads a policy; with a second file, the checks are those in there.
// What is wrong with YAML itself is [policy.Problems].
func readPolicy(name, checks string) (*policyFile, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	f := &policyFile{csv: text}
	if ext := strings.ToLower(filepath.Ext(name)); ext == ".yaml" || ext == ".yml" {
		doc, err := policy.ParseYAML(name, []byte(text))
		if err != nil {
			return nil, err
		}
		f.yaml, f.csv = &doc, doc.CSV
		if doc.HasChecks {
			f.checks = &doc.Checks
		}
	}
	if checks != "" {
		other, err := readFile(checks)
		if err != nil {
			return nil, err
		}
		f.checks = &other
	}
	return f, nil
}

// place has problems and failures tell their lines of the YAML, in place of
// those of the CSV that the gateway was given.
func (f *policyFile) place(problems []*adminv1.PolicyProblem, failures []*adminv1.PolicyFailure) {
	if f.yaml == nil {
		return
	}
	for _, p := range problems {
		if p.GetLine() > 0 {
			line, column := f.yaml.RulePlace(int(p.GetLine()))
			p.Line, p.Column = int32(line), int32(column) //nolint:gosec // Texts are bounded.
		}
	}
	for _, p := range failures {
		if f.checks == &f.yaml.Checks {
			line, _ := f.yaml.CheckPlace(int(p.GetLine()))
			p.Line = int32(line) //nolint:gosec // Texts are bounded.
		}
	}
}

// json returns an answer as the gateway gave it, unless lines in it are of YAML.
func (f *policyFile) json(raw json.RawMessage, answer proto.Message) (json.RawMessage, error) {
	if f.yaml == nil {
		return raw, nil
	}
	return protojson.Marshal(answer)
}

// problemsIn returns what is wrong with a YAML policy as the gateway would say
// it, and false for any other error.
func problemsIn(err error) ([]*adminv1.PolicyProblem, bool) {
	problems, ok := errors.AsType[policy.Problems](err)
	if !ok {
		return nil, false
	}
	out := make([]*adminv1.PolicyProblem, len(problems))
	for i, p := range problems {
		out[i] = &adminv1.PolicyProblem{Line: int32(p.Line), Column: int32(p.Col), Message: p.Msg, Hint: p.Hint} //nolint:gosec // Texts are bounded.
	}
	return out, true
}

func readFile(name string) (string, error) {
	b, err := os.ReadFile(name) //nolint:gosec // The person at the terminal names it.
	return string(b), err
}
