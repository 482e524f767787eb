package toolset

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A ranking finds tools by words. It is BM25 (Robertson and Zaragoza, 2009) over
// one weighted text for each tool, as in the simple form of BM25F. It is
// immutable; all that depends on no query is computed when it is made.
type ranking struct {
	names    []string
	postings map[string][]posting // by stem
}

// A posting says how much a word speaks for a tool.
type posting struct {
	tool  int32
	score float32
}

// The parameters of BM25, as commonly chosen: how soon a repeated word stops to
// count, and how much a long text counts less.
const (
	saturation = 1.2
	shortness  = 0.75
)

// What a word counts for by where it stands, and how many words are read there.
const (
	nameWeight, titleWeight, descriptionWeight, parameterWeight = 3, 2, 1, 0.3

	maxNameWords, maxTextWords = 32, 200
	maxText                    = 8 << 10 // bytes of one text that are read
)

// maxTools bounds a ranking, and with the bounds of the texts its memory.
const maxTools = 50_000

// rank makes the ranking of the tools, of the first maxTools.
func rank(tools []*gateway.Tool) *ranking {
	tools = tools[:min(len(tools), maxTools)]
	r := &ranking{names: make([]string, len(tools)), postings: map[string][]posting{}}
	lengths := make([]float32, len(tools))
	var total float64
	words := newReader()
	for i, t := range tools {
		r.names[i] = t.Name
		counts := map[string]float32{}
		read := func(text string, weight float32, limit int) {
			words.read(text[:min(len(text), maxText)], limit, func(stem string) {
				counts[stem] += weight
				lengths[i] += weight
			})
		}
		read(t.Name, nameWeight, maxNameWords)
		read(t.Title, titleWeight, maxNameWords)
		read(t.Description, descriptionWeight, maxTextWords)
		read(parameters(t), parameterWeight, maxTextWords)
		total += float64(lengths[i])
		for stem, n := range counts {
			r.postings[stem] = append(r.postings[stem], posting{int32(i), n})
		}
	}
	average := float32(total / float64(max(1, len(tools))))
	for _, found := range r.postings {
		n := float64(len(found))
		rarity := float32(math.Log(1 + (float64(len(tools))-n+0.5)/(n+0.5)))
		for i, p := range found {
			long := 1 - shortness + shortness*lengths[p.tool]/average
			found[i].score = rarity * p.score * (saturation + 1) / (p.score + saturation*long)
		}
	}
	return r
}

// parameters returns the names and descriptions of a tool's parameters.
func parameters(t *gateway.Tool) string {
	var def struct {
		InputSchema struct {
			Properties map[string]jsontext.Value `json:"properties"`
		} `json:"inputSchema"`
	}
	if jsonv2.Unmarshal(t.Definition, &def) != nil {
		return "" // A schema of another form; the tool is found by its name and description.
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(def.InputSchema.Properties)) {
		var p struct {
			Description string `json:"description"`
		}
		_ = jsonv2.Unmarshal(def.InputSchema.Properties[name], &p) // A property may be true or false.
		b.WriteString(name + " " + p.Description + " ")
		if b.Len() > maxText {
			break
		}
	}
	return b.String()
}

// maxQueryWords bounds how many words of a query count.
const maxQueryWords = 32

// find returns the names of the tools that have any word of the query, the best
// first.
func (r *ranking) find(query string) []string {
	scores := make([]float32, len(r.names))
	var found []int32
	asked := map[string]bool{}
	newReader().read(query, maxQueryWords, func(stem string) {
		if asked[stem] {
			return
		}
		asked[stem] = true
		for _, p := range r.postings[stem] {
			if scores[p.tool] == 0 {
				found = append(found, p.tool)
			}
			scores[p.tool] += p.score
		}
	})
	slices.SortFunc(found, func(a, b int32) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	names := make([]string, len(found))
	for i, tool := range found {
		names[i] = r.names[tool]
	}
	return names
}
