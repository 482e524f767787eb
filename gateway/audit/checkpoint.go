package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	jsonv2 "github.com/go-json-experiment/json"
)

// checkpointName is the file that says how far the log is durable, so that a
// log that was cut at the end is told from one that ends there. Copied
// elsewhere, it also proves the log against whoever owns the disk.
const checkpointName = "checkpoint"

func appendCheckpoint(b []byte, c chain) []byte {
	b = append(b, `{"v":1,"seq":`...)
	b = strconv.AppendInt(b, c.seq, 10)
	b = append(b, `,"hash":"`...)
	b = hex.AppendEncode(b, c.head[:])
	return append(b, '"', '}', '\n')
}

// writeCheckpoint replaces the checkpoint in one step, durably. The records
// that it covers must be durable already.
func writeCheckpoint(dir string, c chain) error {
	path := filepath.Join(dir, checkpointName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the directory.
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err = f.Write(appendCheckpoint(nil, c))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// readCheckpoint returns the checkpoint of a log. The error is fs.ErrNotExist
// where there is none, and a [*Damage] where it is not as it was written.
func readCheckpoint(dir string) (chain, error) {
	const most = 256 // bytes; a checkpoint has at most 110
	path := filepath.Join(dir, checkpointName)
	info, err := os.Stat(path)
	if err != nil {
		return chain{}, fmt.Errorf("read checkpoint: %w", err)
	}
	damage := func(why string) (chain, error) { return chain{}, &Damage{File: checkpointName, Why: why} }
	if info.Size() > most {
		return damage("it is too long")
	}
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the directory.
	if err != nil {
		return chain{}, fmt.Errorf("read checkpoint: %w", err)
	}
	var v struct {
		V    int    `json:"v"`
		Seq  int64  `json:"seq"`
		Hash string `json:"hash"`
	}
	if err := jsonv2.Unmarshal(data, &v); err != nil {
		return damage("it is not a checkpoint")
	}
	c := chain{seq: v.Seq}
	if n, err := hex.Decode(c.head[:], []byte(clip(v.Hash, 2*sha256.Size))); err != nil || n != sha256.Size {
		return damage("its hash is not a SHA-256 in hex")
	}
	if !bytes.Equal(appendCheckpoint(nil, c), data) {
		return damage("it is not as it was written")
	}
	return c, nil
}

func clip(s string, most int) string { return s[:min(len(s), most)] }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
