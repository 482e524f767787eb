package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"unicode/utf8"
)

// Load reads the file at path. An invalid file is an error of type [Problems],
// with everything that is wrong; so is a file that cannot be read. Relative
// paths in the file are relative to its directory, and come out absolute.
func Load(path string) (*Config, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	return load(path, data)
}

// load is Load for data that was read from path.
func load(path string, data []byte) (*Config, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	c, d := read(path, filepath.Dir(full), data)
	d.checkFiles()
	if err := d.problems().err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse reads a configuration from data and touches no file. name stands for
// the file in problems; relative paths in data are relative to its directory.
// When there are problems the Config is nil. The problems are no error yet, so
// ask for their number rather than for nil.
func Parse(name string, data []byte) (*Config, Problems) {
	c, d := read(name, filepath.Dir(name), data)
	if ps := d.problems(); len(ps) > 0 {
		return nil, ps
	}
	return c, nil
}

// Check finds what [Load] finds in the values of a configuration, in one that was
// changed since, as by flags: values that contradict each other, and addresses
// to listen on that are none. It touches no file. The error is of type
// [Problems], which have no place in a file here, or nil.
func (c *Config) Check() error {
	r := &report{at: map[string]position{}, bad: map[string]bool{}}
	for _, a := range []struct{ key, addr string }{{"listen.http", c.Listen.HTTP}, {"listen.grpc", c.Listen.GRPC}} {
		if msg, hint := checkFormat("address", a.addr); msg != "" {
			r.add(a.key, msg, hint)
			r.bad[a.key] = true
		}
	}
	r.check(c)
	return r.problems().err()
}

// read decodes and checks data. The Config is of use only when d has found no problems.
func read(name, dir string, data []byte) (*Config, *decoder) {
	d := &decoder{
		report: &report{file: name, at: map[string]position{}, bad: map[string]bool{}},
		dir:    dir,
	}
	c := &Config{}
	setDefaults(reflect.ValueOf(c).Elem())
	if len(data) > maxFile {
		d.addAt(position{}, "", fmt.Sprintf("the file is longer than %s", Size(maxFile)), "")
		return c, d
	}
	if !utf8.Valid(data) {
		d.addAt(position{}, "", "the file is not UTF-8", "")
		return c, d
	}
	root, syntax := readYAML(data)
	if syntax != nil {
		d.addAt(syntax.position, "", syntax.msg, syntax.hint)
		return c, d
	}
	d.value(reflect.ValueOf(c).Elem(), root, field{}, "")
	d.complete(c)
	d.check(c)
	return c, d
}

// complete fills in what depends on where the file or a value stands.
func (d *decoder) complete(c *Config) {
	if !d.has("data") {
		c.Data = d.resolve(c.Data)
	}
	c.Auth.Stdio.Subject = cmp.Or(c.Auth.Stdio.Subject, "local")
	if a := c.Auth.Anonymous; a != nil {
		a.Subject = cmp.Or(a.Subject, "anonymous")
	}
	for _, s := range c.Sources {
		if s.MCP != nil && s.MCP.Command != "" && s.MCP.Dir == "" {
			s.MCP.Dir = d.dir
		}
	}
}

// checkFiles looks whether the files that the configuration names exist.
func (d *decoder) checkFiles() {
	for _, c := range d.pending {
		info, err := os.Stat(c.file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d.add(c.path, c.file+" does not exist", "relative paths start at the directory of the configuration")
		case err != nil:
			d.add(c.path, err.Error(), "")
		case c.dir && !info.IsDir():
			d.add(c.path, c.file+" is not a directory", "")
		case !c.dir && info.IsDir():
			d.add(c.path, c.file+" is a directory", "name a file")
		}
	}
}

// readFile reads a file, one byte beyond the bound at most.
func readFile(path string, bound int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	return io.ReadAll(io.LimitReader(f, bound+1))
}

// fileProblem is the problem of a file that cannot be read.
func fileProblem(path string, err error) Problems {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err // The path is in the problem already.
	}
	return Problems{{File: path, Msg: "cannot be read: " + err.Error()}}
}
