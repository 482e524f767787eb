package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds the file that a secret is read from.
const maxSecret = 64 << 10

// Secret is a value that may hold references to secrets: ${env:NAME} stands for
// an environment variable and ${file:PATH} for the content of a file without
// the newline at its end. Everything else stands for itself, as in
// "Bearer ${env:TOKEN}".
//
// However it is printed, logged or marshalled, a Secret shows nothing but an
// ellipsis. A conversion to string gives the text with its references.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "…"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Resolve returns the value with every reference replaced. Variables come from
// env, usually os.LookupEnv; files are read, up to 64 KiB. What is missing or
// empty is an error, which names the reference and never a value.
func (s Secret) Resolve(env func(name string) (value string, ok bool)) (string, error) {
	parts, err := s.parts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		value := p.text
		switch p.scheme {
		case "env":
			value, _ = env(p.text)
		case "file":
			if value, err = readSecret(p.text); err != nil {
				return "", err
			}
		}
		if value == "" {
			return "", fmt.Errorf("${%s:%s} is not set or empty", p.scheme, p.text)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// readSecret reads a secret from a file.
func readSecret(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s is longer than %s", path, Size(maxSecret))
	}
	return string(bytes.TrimRight(data, "\r\n")), nil
}

// part is a reference in a [Secret] (scheme env or file) or the plain text
// between two (no scheme, never empty).
type part struct{ scheme, text string }

// parts splits the value at its references.
func (s Secret) parts() ([]part, error) {
	var parts []part
	rest := string(s)
	for rest != "" {
		plain, after, found := strings.Cut(rest, "${")
		if plain != "" {
			parts = append(parts, part{text: plain})
		}
		if !found {
			break
		}
		ref, after, closed := strings.Cut(after, "}")
		scheme, name, _ := strings.Cut(ref, ":")
		if !closed || name == "" || (scheme != "env" && scheme != "file") {
			return nil, errors.New("want ${env:NAME} or ${file:PATH}")
		}
		parts = append(parts, part{scheme, name})
		rest = after
	}
	return parts, nil
}

// rebase returns the value with the files that it refers to relative to dir.
func (s Secret) rebase(dir string) (Secret, error) {
	parts, err := s.parts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		switch p.scheme {
		case "":
			b.WriteString(p.text)
		case "file":
			if !filepath.IsAbs(p.text) {
				p.text = filepath.Join(dir, p.text)
			}
			fallthrough
		default:
			b.WriteString("${" + p.scheme + ":" + p.text + "}")
		}
	}
	return Secret(b.String()), nil
}
