package grpc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// TestCodes has every code be itself in gRPC and an error in HTTP.
func TestCodes(t *testing.T) {
	for c := range gateway.CodeCount + 3 {
		err := &callError{err: &gateway.Error{Code: gateway.Code(c), Msg: "m"}}
		want := codes.Code(c)
		if c == 0 || c >= gateway.CodeCount {
			want = codes.Internal
		}
		if got := status.Code(err); got != want {
			t.Errorf("%d is %v in gRPC", c, got)
		}
		p := toProblem(err)
		if p.Status < 400 || p.Status > 599 || p.Code != gateway.Code(want).String() {
			t.Errorf("%d is %+v in HTTP", c, p)
		}
	}
}

// TestStatusIsBounded has a failure with as much to say as there can be.
func TestStatusIsBounded(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = "ü"[i%2]
	}
	bad := &schema.Invalid{}
	for range 8 {
		bad.Violations = append(bad.Violations, schema.Violation{Pointer: string(long[:256]), Message: string(long[:256])})
	}
	for name, data := range map[string]json.RawMessage{"large data": json.RawMessage(`"` + string(long) + `"`), "data": json.RawMessage(`{}`), "no data": nil} {
		s := status.Convert(&callError{
			err:  &gateway.Error{Code: gateway.InvalidArgument, Msg: string(long), Data: data, Err: bad},
			call: &gateway.Call{Kind: gateway.KindTool, Name: string(long)},
		})
		if n := proto.Size(s.Proto()); n > 4500 {
			t.Errorf("%s: %d bytes", name, n)
		}
		if want := map[string]int{"data": 3}[name]; want > 0 && len(s.Details()) != want {
			t.Errorf("%s: %v", name, s.Details())
		}
	}
}

// TestFailure has errors of all makers turned into what a caller is told.
func TestFailure(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code codes.Code
		msg  string
	}{
		"ours":         {refuse(nil, gateway.Aborted, "a"), codes.Aborted, "a"},
		"the road's":   {&gateway.Error{Code: gateway.NotFound, Msg: "b", Err: errors.New("secret")}, codes.NotFound, "b"},
		"grpc's":       {status.Error(codes.OutOfRange, "c"), codes.OutOfRange, "c"},
		"anybody else": {errors.New("secret"), codes.Internal, "internal error"},
	} {
		if s := status.Convert(failure(test.err)); s.Code() != test.code || s.Message() != test.msg {
			t.Errorf("%s: %v", name, s)
		}
	}
	if failure(nil) != nil {
		t.Error("nothing is a failure")
	}
}

// TestProblemWithoutData has an upstream's data that is no JSON left out.
func TestProblemWithoutData(t *testing.T) {
	got := string(problem{Status: http.StatusBadGateway, Code: "UNKNOWN", Detail: "d", Data: json.RawMessage("{")}.json())
	if want := `{"title":"Bad Gateway","status":502,"code":"UNKNOWN","detail":"d"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[json.Number]float64{"1": 1, "0.5": 0.5, "": 0, "x": 0, "1e400": 0, "NaN": 0, "Inf": 0} {
		if got, _ := number(n); got != want {
			t.Errorf("%q is %v", n, got)
		}
	}
}

// TestJSONOfEveryAnswer writes every message that REST may show with every
// field set, which fails at a kind of field that has no form.
func TestJSONOfEveryAnswer(t *testing.T) {
	messages := gatewayv1.File_gateway_v1_gateway_proto.Messages()
	for i := range messages.Len() {
		d := messages.Get(i)
		if strings.HasSuffix(string(d.Name()), "Request") {
			continue
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			t.Fatal(err)
		}
		m := kind.New()
		fill(m)
		b, err := codec{}.Marshal(m.Interface())
		if err != nil || !json.Valid(b) {
			t.Errorf("%s: %v\n%s", d.Name(), err, b)
		}
	}
	if _, err := (codec{}).Marshal(wrapperspb.Bytes(nil)); err != nil {
		t.Errorf("an empty message: %v", err)
	}
	for _, v := range []any{wrapperspb.Bytes([]byte("x")), 7} {
		if b, err := (codec{}).Marshal(v); err == nil {
			t.Errorf("%T is written as %s", v, b)
		}
	}
}

// fill sets every field of a message.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch fd := fields.Get(i); {
		case fd.IsList() && fd.Message() != nil:
			fill(m.Mutable(fd).List().AppendMutable().Message())
		case fd.IsList():
			m.Mutable(fd).List().Append(protoreflect.ValueOf("\"\n"))
		case fd.Message() != nil:
			fill(m.Mutable(fd).Message())
		case strings.HasSuffix(string(fd.Name()), "_json"):
			m.Set(fd, protoreflect.ValueOf(`{"a":[1]}`))
		case fd.Kind() == protoreflect.StringKind:
			m.Set(fd, protoreflect.ValueOf("\"\n"))
		case fd.Kind() == protoreflect.BoolKind:
			m.Set(fd, protoreflect.ValueOf(true))
		case fd.Kind() == protoreflect.Int64Kind:
			m.Set(fd, protoreflect.ValueOf(int64(-7)))
		case fd.Kind() == protoreflect.DoubleKind:
			m.Set(fd, protoreflect.ValueOf(0.5))
		}
	}
}

// TestCodecReads has bodies read strictly.
func TestCodecReads(t *testing.T) {
	c := codec{schema.DefaultBounds()}
	values := map[string]string{}
	if err := c.Unmarshal([]byte(`{"a":"b"}`), &values); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(map[string]string{"a": "b"}, values); d != "" {
		t.Error(d)
	}
	for _, body := range []string{`null`, `[]`, `{"a":null}`, `{"a":"b","a":"c"}`, `{"a":"b"`, `{"a":"b"} {}`} {
		if err := c.Unmarshal([]byte(body), &map[string]string{}); err == nil {
			t.Errorf("%s passes as values", body)
		}
		if err := c.Unmarshal([]byte(body), &gatewayv1.CompleteRequest{}); err == nil {
			t.Errorf("%s passes as a message", body)
		}
	}
	if err := c.Unmarshal([]byte(`{}`), new(int)); err == nil {
		t.Error("a number is read")
	}
}
