package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestDocuments compares the generated documents with those checked in.
func TestDocuments(t *testing.T) {
	var reference bytes.Buffer
	if err := config.Reference(&reference); err != nil {
		t.Fatal(err)
	}
	schema, err := config.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"config.md": reference.Bytes(), "config.schema.json": schema} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("docs/%s is out of date; run go test ./gateway/config -update (-have +want):\n%s", name, diff)
		}
	}
	if doc := reference.String(); strings.Contains(doc, "|  |  |") || strings.Contains(doc, "EXAMPLE") {
		t.Error("the reference has a key without a description, or no example")
	}
}

// TestExampleFile keeps the example of the reference valid.
func TestExampleFile(t *testing.T) {
	data, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := config.Parse("example.yaml", data); len(problems) > 0 {
		t.Fatal(problems)
	}
}

// TestSchemaAgrees validates the files of the lint tests with the JSON Schema:
// it accepts the good ones, and sees the problems that a schema can see.
func TestSchemaAgrees(t *testing.T) {
	schema := compileSchema(t)
	for name, valid := range map[string]bool{
		"valid": true, "plaintext-behind-proxy": true, "anonymous-on-loopback": true,
		"unknown-keys": false, "wrong-types": false, "missing": false, "contradictions": false, "values": false,
		// Rules between distant keys and the file system are beyond a schema.
		"off-loopback": true, "files": true,
	} {
		archive, err := txtar.ParseFile("testdata/lint/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name != "gateway.yaml" {
				continue
			}
			data, err := yaml.YAMLToJSON(f.Data)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); (err == nil) != valid {
				t.Errorf("%s: valid by schema = %v, want %v: %v", name, err == nil, valid, err)
			}
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := config.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
