package mcp

import (
	"errors"
	"fmt"
	"strconv"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/schema"
)

// parseAnswer makes the one strict pass over a message from a server and reads
// its envelope.
func (c *client) parseAnswer(data []byte) (message, error) {
	bounds := schema.Bounds{Bytes: c.u.o.MaxMessage, Depth: maxAnswerDepth, Tokens: maxAnswerTokens, Halves: true}
	if err := schema.Check(data, bounds); err != nil {
		return message{}, badAnswer(err.Error())
	}
	m, err := readMessage(data)
	if err != nil && (m.Method != "" || m.Error == nil || m.ID != nil) { // An error without an id, or with null, is one.
		return message{}, badAnswer(err.message)
	}
	return m, nil
}

// halves has a decoder take what parseAnswer does.
func halves() jsonv2.Options { return jsontext.AllowInvalidUTF8(true) }

// Bounds on what servers send, beyond its length: definitions nest deeper than
// arguments, and lists are long.
const (
	maxAnswerDepth  = 256
	maxAnswerTokens = 4_000_000
	maxLogLine      = 4096
)

// answers reports whether a message is the response to a request.
func (m *message) answers(id uint64) bool {
	if m.ID == nil || m.Method != "" {
		return false
	}
	n, err := strconv.ParseUint(string(m.ID), 10, 64)
	return err == nil && n == id
}

func badAnswer(msg string) error { return fmt.Errorf("%w: %s", errBadAnswer, msg) }

var errBadAnswer = errors.New("the server's answer is not valid")
