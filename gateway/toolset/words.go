package toolset

import (
	"unicode"

	"github.com/kljensen/snowball/english"
)

// maxWord bounds a word, in runes. Longer ones are data, not language.
const maxWord = 40

// A reader takes texts apart into stems. It remembers the stems of the words
// that it has met, which in definitions of tools are few.
type reader struct{ stems map[string]string }

func newReader() *reader { return &reader{map[string]string{}} }

// read calls yield with the stem of each word of a text, in order, for the
// first limit of them. Names are taken apart at punctuation and capitals:
// createIssue and create_issue are the same two words. Scripts that are written
// without spaces are taken apart into characters. Words that say nothing, such
// as "the", are left out.
func (r *reader) read(text string, limit int, yield func(stem string)) {
	runes := []rune(text)
	start := 0
	end := func(i int) {
		if i > start && i-start <= maxWord && limit > 0 {
			if s := r.stem(runes[start:i]); s != "" {
				limit--
				yield(s)
			}
		}
		start = i
	}
	for i, c := range runes {
		switch {
		case limit == 0:
			return
		case unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			end(i)
			end(i + 1)
		case unicode.IsLetter(c), unicode.IsDigit(c), unicode.IsMark(c):
			if i > start && unicode.IsUpper(c) && (unicode.IsLower(runes[i-1]) || beginsWord(runes[i:])) {
				end(i) // createIssue, HTTPServer
			}
		default:
			end(i)
			start = i + 1
		}
	}
	end(len(runes))
}

// beginsWord reports whether a word begins with a capital that stands after
// another, as in HTTPServer, but not in URLs.
func beginsWord(runes []rune) bool {
	plural := len(runes) > 1 && runes[1] == 's' && (len(runes) == 2 || !unicode.IsLower(runes[2]))
	return len(runes) > 1 && unicode.IsLower(runes[1]) && !plural
}

// stem returns the stem of a word, or "" for a word that says nothing.
func (r *reader) stem(word []rune) string {
	for i, c := range word {
		word[i] = unicode.ToLower(c)
	}
	w := string(word)
	s, met := r.stems[w]
	if !met {
		if !english.IsStopWord(w) {
			s = english.Stem(w, true)
		}
		r.stems[w] = s
	}
	return s
}
