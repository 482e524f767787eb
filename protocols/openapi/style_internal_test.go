package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// only reads a document with one operation and returns its plan.
func only(t testing.TB, document string) *plan {
	t.Helper()
	o := Options{Name: "test", URL: "https://api.example/v1"}
	o.setDefaults()
	im, err := load(t.Context(), []byte(document), &o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range im.plans {
		return p
	}
	t.Fatalf("nothing is offered: %v", im.catalog.Notes)
	return nil
}

const (
	scalarSchema = `{"type":"string"}`
	arraySchema  = `{"type":"array","items":{"type":"string"}}`
	objectSchema = `{"type":"object","properties":{"R":{"type":"integer"},"G":{"type":"integer"},"B":{"type":"integer"}}}`

	array  = `["blue","black","brown"]`
	rgb    = `{"R":100,"G":200,"B":150}`
	blue   = `"blue"`
	prefix = "https://api.example/v1/x"
)

// TestStyles writes parameters as the table of the standard has them (OpenAPI
// 3.1.1, style examples), and has another implementation read them again.
func TestStyles(t *testing.T) {
	for _, tt := range []struct {
		in, style string
		explode   bool
		schema    string
		value     string
		want      string // the URL behind the prefix, or the header
		alone     bool   // the other implementation cannot read it
	}{
		{"path", "simple", false, scalarSchema, blue, "/blue", false},
		{"path", "simple", false, arraySchema, array, "/blue,black,brown", false},
		{"path", "simple", false, objectSchema, rgb, "/R,100,G,200,B,150", false},
		{"path", "simple", true, arraySchema, array, "/blue,black,brown", false},
		{"path", "simple", true, objectSchema, rgb, "/R=100,G=200,B=150", false},
		{"path", "label", false, scalarSchema, blue, "/.blue", false},
		{"path", "label", false, arraySchema, array, "/.blue,black,brown", false},
		{"path", "label", false, objectSchema, rgb, "/.R,100,G,200,B,150", false},
		{"path", "label", true, arraySchema, array, "/.blue.black.brown", false},
		{"path", "label", true, objectSchema, rgb, "/.R=100.G=200.B=150", false},
		{"path", "matrix", false, scalarSchema, blue, "/;p=blue", false},
		{"path", "matrix", false, arraySchema, array, "/;p=blue,black,brown", false},
		{"path", "matrix", false, objectSchema, rgb, "/;p=R,100,G,200,B,150", false},
		{"path", "matrix", true, arraySchema, array, "/;p=blue;p=black;p=brown", false},
		{"path", "matrix", true, objectSchema, rgb, "/;R=100;G=200;B=150", false},
		{"query", "form", false, scalarSchema, blue, "?p=blue", false},
		{"query", "form", false, scalarSchema, `""`, "?p=", false},
		{"query", "form", false, arraySchema, array, "?p=blue,black,brown", false},
		{"query", "form", false, objectSchema, rgb, "?p=R,100,G,200,B,150", false},
		{"query", "form", true, arraySchema, array, "?p=blue&p=black&p=brown", false},
		{"query", "form", true, objectSchema, rgb, "?R=100&G=200&B=150", false},
		{"query", "form", true, scalarSchema, `"a&b=c d/é+%"`, "?p=a%26b%3Dc%20d%2F%C3%A9%2B%25", false},
		{"query", "spaceDelimited", false, arraySchema, array, "?p=blue%20black%20brown", false},
		{"query", "spaceDelimited", false, objectSchema, rgb, "?p=R%20100%20G%20200%20B%20150", true},
		{"query", "spaceDelimited", true, arraySchema, array, "?p=blue&p=black&p=brown", false},
		{"query", "pipeDelimited", false, arraySchema, array, "?p=blue%7Cblack%7Cbrown", false},
		{"query", "pipeDelimited", false, objectSchema, rgb, "?p=R%7C100%7CG%7C200%7CB%7C150", true},
		{"query", "pipeDelimited", true, arraySchema, array, "?p=blue&p=black&p=brown", false},
		{"query", "deepObject", true, objectSchema, rgb, "?p%5BR%5D=100&p%5BG%5D=200&p%5BB%5D=150", false},
		{"header", "simple", false, scalarSchema, blue, "blue", false},
		{"header", "simple", false, arraySchema, array, "blue,black,brown", false},
		{"header", "simple", false, objectSchema, rgb, "R,100,G,200,B,150", false},
		{"header", "simple", true, objectSchema, rgb, "R=100,G=200,B=150", false},
		{"cookie", "form", false, scalarSchema, blue, "p=blue", false},
		{"cookie", "form", false, arraySchema, array, "p=blue,black,brown", false},
		{"cookie", "form", false, objectSchema, rgb, "p=R,100,G,200,B,150", false},
		{"cookie", "form", true, arraySchema, array, "p=blue; p=black; p=brown", true},
		{"cookie", "form", true, objectSchema, rgb, "R=100; G=200; B=150", true},
	} {
		t.Run(fmt.Sprint(tt.in, " ", tt.style, " ", tt.explode, " ", tt.value), func(t *testing.T) {
			path := "/x"
			if tt.in == "path" {
				path = "/x/{p}"
			}
			document := fmt.Sprintf(`{"openapi":"3.0.3","info":{"title":"t","version":"1"},"servers":[{"url":"https://api.example/v1"}],
				"paths":{%q:{"get":{"operationId":"op","parameters":[{"name":"p","in":%q,"required":true,"style":%q,"explode":%v,"schema":%s}],
				"responses":{"200":{"description":"ok"}}}}}}`, path, tt.in, tt.style, tt.explode, tt.schema)
			r, err := only(t, document).request(json.RawMessage(`{"p":` + tt.value + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.TrimPrefix(r.url, prefix)
			switch tt.in {
			case "header":
				got = r.header.Get("p")
			case "cookie":
				got = r.header.Get("Cookie")
			}
			if got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			if !tt.alone {
				readBack(t, document, r, tt.in, tt.value)
			}
		})
	}
}

// readBack has kin-openapi read a request: what it finds in the parameter must
// be what was written.
func readBack(t *testing.T, document string, r *request, in, want string) {
	t.Helper()
	document = strings.Replace(document, `"schema":{`, `"schema":{"enum":[`+want+`],`, 1)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.header
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: map[string]string{"p": strings.TrimPrefix(req.URL.Path, "/v1/x/")}}
	for _, item := range doc.Paths.Map() {
		if err := openapi3filter.ValidateParameter(t.Context(), input, item.Get.Parameters.GetByInAndName(in, "p")); err != nil {
			t.Errorf("it is not what the other implementation reads: %v", err)
		}
	}
}
