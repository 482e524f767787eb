package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// Documents are the documents that are trusted. Clients may send their hash in place of the text (GraphQL over HTTP,
// appendix A, documentId; also the extension persistedQuery).
type Documents struct {
	mode   Trust
	except []string
	texts  map[string]string // by SHA-256 in hex
}

// Trust says what becomes of documents that are not trusted.
type Trust string

// The modes of trust.
const (
	TrustAll     Trust = "off"     // they are answered
	TrustAudit   Trust = "audit"   // they are answered, counted and logged
	TrustEnforce Trust = "enforce" // they are refused
)

// ParseDocuments reads trusted documents: a JSON object of texts by their SHA-256 in hex, or a manifest in the format
// apollo-persisted-query-manifest. Callers who have one of the roles of except may send any document.
func ParseDocuments(data []byte, mode Trust, except []string) (*Documents, error) {
	d := &Documents{mode: mode, except: except, texts: map[string]string{}}
	var manifest struct {
		Format     string `json:"format"`
		Operations []struct {
			ID   string `json:"id"`
			Body string `json:"body"`
		} `json:"operations"`
	}
	if jsonv2.Unmarshal(data, &manifest) == nil && manifest.Format != "" {
		if manifest.Format != "apollo-persisted-query-manifest" {
			return nil, fmt.Errorf("documents: the format %q is not known", manifest.Format)
		}
		for _, op := range manifest.Operations {
			if err := d.add(op.ID, op.Body); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	var texts map[string]string
	if err := jsonv2.Unmarshal(data, &texts); err != nil {
		return nil, errors.New("documents: want a JSON object of texts by their SHA-256")
	}
	for id, text := range texts {
		if err := d.add(id, text); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Documents) add(id, text string) error {
	id = strings.TrimPrefix(id, "sha256:")
	if hashOf(text) != id {
		return fmt.Errorf("documents: %s is not the SHA-256 of its document", clip.Text(id, 80))
	}
	d.texts[id] = text
	return nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// identify reads the id of the document, if the request has one.
func (r *request) identify(extensions jsontext.Value) error {
	if r.OperationID != "" {
		id, ok := strings.CutPrefix(r.OperationID, "sha256:")
		if r.OperationID = id; !ok || len(id) != sha256.Size*2 {
			return &refusal{http.StatusBadRequest, "documentId must be sha256: and 64 hexadecimal digits"}
		}
	} else if hash, ok := persistedHash(extensions); !ok {
		return &refusal{http.StatusBadRequest, "sha256Hash must be 64 hexadecimal digits"}
	} else if hash != "" {
		r.OperationID = hash
	}
	switch {
	case r.Query == "" && r.OperationID == "":
		return &refusal{http.StatusBadRequest, "the request has no query"}
	case r.Query != "" && r.OperationID != "" && hashOf(r.Query) != r.OperationID:
		return &refusal{http.StatusBadRequest, "the id is not that of the query"}
	}
	return nil
}

// persistedHash returns the hash in the extension persistedQuery, or "". It returns false for one that cannot be a hash.
func persistedHash(extensions jsontext.Value) (hash string, ok bool) {
	var e struct {
		Persisted struct {
			Hash jsontext.Value `json:"sha256Hash"`
		} `json:"persistedQuery"`
	}
	if len(extensions) == 0 || jsonv2.Unmarshal(extensions, &e) != nil || len(e.Persisted.Hash) == 0 {
		return "", true
	}
	err := jsonv2.Unmarshal(e.Persisted.Hash, &hash)
	return hash, err == nil && len(hash) == sha256.Size*2
}

// admit puts the text of a trusted document into a request, and refuses one that is not trusted. Nil trusts all texts and
// knows none.
func (d *Documents) admit(f *Frontend, p *gateway.Principal, r *request) *gqlerror.Error {
	if d == nil {
		if r.Query == "" {
			return fault(codeUnknownDocument, "PersistedQueryNotFound")
		}
		return nil
	}
	if r.Query == "" {
		text, ok := d.texts[r.OperationID]
		if !ok {
			return fault(codeUnknownDocument, "PersistedQueryNotFound")
		}
		r.Query = text
		return nil
	}
	if d.mode == TrustAll || d.texts[hashOf(r.Query)] != "" || f.hasRole(p, d.except) {
		return nil
	}
	if d.mode == TrustEnforce {
		err := fault(codeUntrusted, "only trusted documents are answered here")
		err.Err = &gateway.Error{Code: gateway.PermissionDenied, By: door, Msg: err.Message}
		return err
	}
	f.measured.note(excess{"documents", 1, 0})
	return nil
}
