package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In the file it is a whole number with a unit, such
// as 512KiB, 4MiB or 1GiB (binary), 4MB (decimal), or a plain number of bytes.
type Size int64

// unit is a unit of a [Size].
type unit struct {
	name  string
	bytes int64
}

// units returns the units, binary ones first and the largest first in each kind.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a size. The error says what form it wants.
func ParseSize(s string) (Size, error) {
	digits, bytes := s, int64(1)
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, bytes = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' || n > math.MaxInt64/bytes {
		return 0, errors.New("want a size such as 512KiB or 4MiB")
	}
	return Size(n * bytes), nil
}

// String returns the size with the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range units()[:3] {
		if n := int64(s); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText returns the size as it is written in the file.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
