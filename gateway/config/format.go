package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// format checks a scalar against the format of its declaration, and makes paths
// in it relative to the working directory.
func (d *decoder) format(v reflect.Value, f field, path string) {
	switch shapeOf(v.Type()) { //nolint:exhaustive // The rest has no format.
	case shapeSecret:
		d.secret(v, f.key, path)
	case shapeString:
		if s := v.String(); strings.Contains(s, "${env:") || strings.Contains(s, "${file:") {
			d.fail(path, "references to secrets are not resolved here", "they may stand in env and headers")
			return
		}
		d.text(v, f, path)
	}
}

// text is format for a plain string. An empty one means that the key is unset,
// which is fine where there is no default.
func (d *decoder) text(v reflect.Value, f field, path string) {
	s := v.String()
	if s == "" && f.format != "" && (f.def != "" || f.format == "not-empty" || f.format == "pattern") {
		d.fail(path, "must not be empty", "")
		return
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' }) {
		d.fail(path, "control characters are not permitted", "")
		return
	}
	switch format := formatOf(f.format, s); format {
	case "path", "file", "dir":
		v.SetString(d.resolve(s))
		d.exists(path, v.String(), format)
	case "command":
		if strings.ContainsRune(s, filepath.Separator) {
			v.SetString(d.resolve(s))
			d.exists(path, v.String(), "file")
		}
	default:
		if s == "" {
			return
		}
		if msg, hint := checkFormat(format, s); msg != "" {
			d.fail(path, msg, hint)
		}
	}
}

// formatOf returns the format that a value is held against, where it may be of
// one or another.
func formatOf(format, value string) string {
	switch {
	case format != "file-or-url":
		return format
	case isURL(value):
		return "url"
	}
	return "file"
}

// exists notes a file that Load looks for.
func (d *decoder) exists(path, file, format string) {
	if file != "" && format != "path" {
		d.pending = append(d.pending, fileCheck{path: path, file: file, dir: format == "dir"})
	}
}

// secret checks a value that may hold references, never showing it. name is its
// key.
func (d *decoder) secret(v reflect.Value, name, path string) {
	s, err := Secret(v.String()).rebase(d.dir)
	if err != nil {
		d.fail(path, "a reference is malformed", err.Error())
		return
	}
	v.SetString(string(s))
	if strings.ContainsFunc(string(s), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		d.fail(path, "control characters are not permitted", "")
		return
	}
	parts, _ := s.parts() // rebase has read them.
	plain := true
	for _, p := range parts {
		plain = plain && p.scheme == ""
		if p.scheme == "file" {
			d.exists(path, p.text, "file")
		}
	}
	if plain && s != "" && namesSecret(name) {
		d.fail(path, "a secret in plain text", "refer to it as ${env:NAME} or ${file:PATH}")
	}
}

// namesSecret tells whether something of this name usually is a secret.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{
		"authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "api_key", "apikey",
		"access-key", "access_key", "private-key", "private_key", "credential",
	}, func(word string) bool { return strings.Contains(name, word) })
}

// checkFormat returns what is wrong with a value that is not empty as a format
// says, and a hint. It does not know the formats of paths.
func checkFormat(format, value string) (msg, hint string) {
	switch format {
	case "name":
		if len(value) > 32 || !isName(value) {
			return show(value) + " is not a name", "1 to 32 letters, digits, _ and -"
		}
	case "scope":
		return checkScope(value)
	case "address":
		return checkAddress(value)
	case "origin":
		return checkURL(value, "http https", true)
	case "base-url", "url":
		return checkURL(value, "http https", false)
	case "secure-url":
		if msg, hint = checkURL(value, "http https", false); msg == "" {
			msg, hint = checkSecure(value)
		}
		return msg, hint
	case "pattern":
		return checkPattern(value)
	case "nats-url":
		return checkURL(value, "nats tls ws wss", false)
	}
	return "", ""
}

// checkScope checks a scope that clients are told to ask for.
func checkScope(value string) (msg, hint string) {
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }
	if value == "offline_access" || len(value) > 256 || strings.ContainsFunc(value, bad) {
		return show(value) + " is not a scope of the gateway", "printable ASCII without spaces and quotes, and not offline_access"
	}
	return "", ""
}

// isName tells whether s matches [A-Za-z0-9_-]+.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// checkAddress checks a listener's host:port.
func checkAddress(value string) (msg, hint string) {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return show(value) + " is not an address", "host:port, such as 127.0.0.1:8080"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "port " + show(port) + " is not a number from 0 to 65535", ""
	}
	if strings.ContainsAny(host, " /@") {
		return "host " + show(host) + " is not an address", ""
	}
	return "", ""
}

// checkURL checks an absolute URL. Its parts are not shown where they may hold
// credentials.
func checkURL(value, schemes string, origin bool) (msg, hint string) {
	u, err := url.Parse(value)
	switch permitted := strings.Fields(schemes); {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "not a URL with a host", "such as " + permitted[len(permitted)-1] + "://example.com"
	case !slices.Contains(permitted, u.Scheme):
		return "scheme " + show(u.Scheme) + " is not supported", "one of " + strings.Join(permitted, ", ")
	case u.User != nil:
		return "a URL must not hold credentials", ""
	case u.Fragment != "" || strings.HasSuffix(value, "#"):
		return "a URL must not have a fragment here", ""
	case origin && (u.Path != "" || u.RawQuery != "" || u.ForceQuery):
		return "an origin has no path and no query", "write " + u.Scheme + "://" + u.Host
	}
	for name := range u.Query() {
		if namesSecret(name) {
			return "a secret in plain text in the query of a URL", "send it as a header that refers to it"
		}
	}
	return "", ""
}

// checkSecure refuses plain http to another machine.
func checkSecure(value string) (msg, hint string) {
	if u, err := url.Parse(value); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return "http is not safe off loopback", "use https"
	}
	return "", ""
}

// isLoopback tells whether a host name or address is this machine. The empty
// host of a listener is every address, so it is not.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkKey returns what is wrong with a free key.
func checkKey(format, key string) string {
	switch format {
	case "variable":
		if !isName(key) || strings.Contains(key, "-") || key[0] <= '9' {
			return show(key) + " is not the name of an environment variable"
		}
	case "header":
		if !isHeader(key) {
			return show(key) + " is not the name of a header"
		}
		reserved := []string{
			"Accept", "Connection", "Content-Length", "Content-Type", "Host", "Keep-Alive", "Last-Event-Id",
			"Te", "Trailer", "Transfer-Encoding", "Upgrade",
		}
		if slices.Contains(reserved, key) || strings.HasPrefix(key, "Mcp-") {
			return fmt.Sprintf("the header %s belongs to the protocol", key)
		}
	}
	return ""
}

// isHeader tells whether s is a token of RFC 9110, section 5.6.2.
func isHeader(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > '~' || !isName(string(r)) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
	})
}
