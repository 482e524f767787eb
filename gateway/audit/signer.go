package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"
)

// The files of the key that signs checkpoints (Ed25519), and of all public
// keys that the log had, one a line, the newest last. Whoever deletes the
// first changes the key.
const (
	signerName  = "checkpoint.key"
	publicName  = "checkpoint.pub"
	maxKeys     = 1000
	maxKeysFile = 256 << 10 // bytes
)

// openSigner reads the key in dir, or makes one, and returns all public keys.
func openSigner(dir, node string) (note.Signer, note.Verifiers, error) {
	path := filepath.Join(dir, signerName)
	secret, err := readBounded(path, 4<<10)
	if missing(err) {
		secret, err = makeSigner(dir, node)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("audit key: %w", err)
	}
	if err := private(path); err != nil {
		return nil, nil, err
	}
	signer, err := note.NewSigner(strings.TrimSuffix(string(secret), "\n"))
	if err != nil {
		return nil, nil, fmt.Errorf("audit key: %s is not a key", path)
	}
	public, err := PublicKeys(dir)
	if err != nil {
		return nil, nil, err
	}
	keys, err := verifiersOf(public)
	if err != nil {
		return nil, nil, err
	}
	if _, err := keys.Verifier(signer.Name(), signer.KeyHash()); err != nil {
		return nil, nil, fmt.Errorf("audit key: %s is not the last of %s", signerName, publicName)
	}
	return signer, keys, nil
}

// makeSigner makes a key. Its public half is durable first.
func makeSigner(dir, node string) ([]byte, error) {
	secret, public, err := note.GenerateKey(rand.Reader, originOf(node))
	if err != nil {
		return nil, err
	}
	before, err := readBounded(filepath.Join(dir, publicName), maxKeysFile)
	if err != nil && !missing(err) {
		return nil, err
	}
	all := string(before) + public + "\n"
	err = errors.Join(replaceFile(filepath.Join(dir, publicName), []byte(all)), syncDir(dir))
	if err == nil {
		err = errors.Join(replaceFile(filepath.Join(dir, signerName), []byte(secret+"\n")), syncDir(dir))
	}
	return []byte(secret + "\n"), err
}

// originOf returns the name of a log: that of its node, as far as a key can
// have it.
func originOf(node string) string {
	name := strings.Map(func(r rune) rune {
		if r == '+' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(clip(node, maxWord), ""))
	if name == "" {
		name = "node"
	}
	return "trilith-audit/" + name
}

// PublicKeys returns the public keys of the log in dir, as
// golang.org/x/mod/sumdb/note has them, the newest last. The error is
// [ErrNoLog] where there are none.
func PublicKeys(dir string) ([]string, error) {
	text, err := readBounded(filepath.Join(dir, publicName), maxKeysFile)
	switch {
	case missing(err):
		return nil, noLog(dir)
	case err != nil:
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	if len(text) > maxKeysFile || lines[len(lines)-1] != "" || len(lines) < 2 || len(lines) > maxKeys {
		return nil, &Damage{File: publicName, Why: "it is not a list of keys"}
	}
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		parts := strings.Split(line, "+") // Verifiers accept more than the one form that keys are written in.
		if _, err := note.NewVerifier(line); err != nil || strings.ToLower(parts[1]) != parts[1] {
			return nil, &Damage{File: publicName, Line: i + 1, Why: "it is not a public key"}
		}
	}
	return lines, nil
}

func verifiersOf(keys []string) (note.Verifiers, error) {
	var all []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("%q is not a public key: %w", clip(key, maxWord), err)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, os.ErrInvalid
	}
	return note.VerifierList(all...), nil
}
