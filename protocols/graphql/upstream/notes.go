package upstream

import (
	"strconv"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// maxNotes bounds the notes on one schema.
const maxNotes = 10_000

// notes are what became of what is not offered as the server has it. A nil
// *notes takes none.
type notes struct{ all []gateway.Note }

func (n *notes) add(subject string, change gateway.NoteChange, reason string) {
	if n != nil && len(n.all) < maxNotes {
		n.all = append(n.all, gateway.Note{Subject: clip.Text(subject, maxText), Change: change, Reason: clip.Text(reason, maxText)})
	}
}

func (n *notes) skipped(subject, reason string) { n.add(subject, gateway.NoteSkipped, reason) }

func (n *notes) renamed(subject, to string) {
	n.add(subject, gateway.NoteRenamed, "it is "+to+", because the schema has another operation of its name")
}

func (n *notes) approximated(subject, reason string) {
	n.add(subject, gateway.NoteApproximated, reason)
}

// maxText bounds what is quoted of a server in notes and errors, in bytes.
const maxText = 512

// quote quotes what a server said, cut to what fits a line.
func quote(s string) string { return strconv.Quote(clip.Text(s, maxText/4)) }

// A textError is one line of what a parser or validator said.
type textError string

func (e textError) Error() string { return string(e) }

// oneLine returns the error as one line of bounded length.
func oneLine(err error) error {
	return textError(clip.Text(strings.Join(strings.Fields(err.Error()), " "), maxText))
}
