package graphql

import "testing"

func TestOperations(t *testing.T) {
	f := newFixture(t, Options{Introspection: true})
	for _, c := range []struct{ name, query, variables, want string }{
		{"viewer", `{viewer{id name kind roles expires}}`, `{}`, ``},
		{"tools", `{tools(first:2){totalCount nodes{name title tags source readOnly} edges{cursor} pageInfo{hasNextPage hasPreviousPage endCursor}}}`, `{}`, ``},
		{"call", `mutation($a:JSON){callTool(name:"demo.echo",arguments:$a){structured isError content{type text data mimeType uri raw}}}`, `{"a":{"n": 123456789012345678901234567890 ,"m":1.0}}`, ``},
		{"call literal", `mutation($x:Int){callTool(name:"demo.echo",arguments:{n:123456789012345678901234567890,z:[1.50,$x,{b:"c"}]}){structured}}`, `{"x":7}`, ``},
		{"fail", `mutation{a:callTool(name:"demo.echo"){isError} b:callTool(name:"demo.fail"){isError}}`, `{}`, ``},
		{"busy", `mutation{callTool(name:"demo.busy"){isError}}`, `{}`, ``},
		{"panic", `mutation{callTool(name:"demo.panic"){isError}}`, `{}`, ``},
		{"invalid", `mutation{callTool(name:"demo.echo",arguments:{n:true}){isError}}`, `{}`, ``},
	} {
		t.Log(c.name, f.run(t, c.query, c.variables))
	}
}
