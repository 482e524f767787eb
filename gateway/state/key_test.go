package state

import (
	"errors"
	"strings"
	"testing"
)

func TestKeyEncoding(t *testing.T) {
	for key, want := range map[string]string{
		"policy":         "policy",
		"Az09-_":         "Az09-_",
		"a.b":            "a=2Eb",
		"https://a/b?c":  "https=3A=2F=2Fa=2Fb=3Fc",
		"=2E":            "=3D2E",
		"é":              "=C3=A9",
		"\x00*>":         "=00=2A=3E",
		"oidc|user@home": "oidc=7Cuser=40home",
	} {
		got, err := encodeKey(key)
		if err != nil || got != want {
			t.Errorf("encodeKey(%q) = %q, %v, want %q", key, got, err, want)
		}
		if back, err := decodeKey(want); err != nil || back != key {
			t.Errorf("decodeKey(%q) = %q, %v, want %q", want, back, err, key)
		}
	}
	for _, enc := range []string{"", "a.b", "a b", "=", "=2", "=2e", "=41", "=GG", "é", strings.Repeat("k", MaxKeyBytes+1)} {
		if key, err := decodeKey(enc); !errors.Is(err, ErrInvalid) {
			t.Errorf("decodeKey(%.20q) = %.20q, %v, want ErrInvalid", enc, key, err)
		}
	}
}

func FuzzKeyEncoding(f *testing.F) {
	for _, s := range []string{"a", "https://a.b/c", "=2E", "=", "=ZZ", "\xff\x00", "*.>", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if enc, err := encodeKey(s); err == nil {
			if strings.Trim(enc, "=-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				t.Fatalf("%q is encoded as %q, which is not one token", s, enc)
			}
			if back, err := decodeKey(enc); err != nil || back != s {
				t.Fatalf("%q came back as %q, %v", s, back, err)
			}
		} else if s != "" && len(s) <= MaxKeyBytes {
			t.Fatalf("%q: %v", s, err)
		}
		if key, err := decodeKey(s); err == nil { // Whatever decodes has no other encoding.
			if enc, err := encodeKey(key); err != nil || enc != s {
				t.Fatalf("%q decodes to %q, which is encoded as %q, %v", s, key, enc, err)
			}
		}
	})
}
