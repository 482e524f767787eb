package schema

import (
	"math/big"
	"testing"
)

// TestDecimal compares every pair of numbers with math/big.
func TestDecimal(t *testing.T) {
	t.Parallel()
	texts := []string{
		"0", "-0", "0.0", "0e9", "1", "-1", "1.0", "10", "1e1", "0.1e2", "100e-1", "0.1", "0.10", "1e-1", "-0.1",
		"0.001", "1.001", "1.01", "12.5", "125e-1", "1.25E+1", "9007199254740992", "9007199254740993",
		"9007199254740992.5", "18446744073709551615", "18446744073709551616", "7", "49", "0.7", "0.07", "3e20",
		"123456789012345678901234567890", "1e30", "-1e30", "999999999999999999999e-21",
	}
	for _, a := range texts {
		da := parseDecimal([]byte(a))
		ra, _ := new(big.Rat).SetString(a)
		if da.isInteger() != ra.IsInt() {
			t.Errorf("%s is an integer: %v", a, da.isInteger())
		}
		for _, b := range texts {
			db := parseDecimal([]byte(b))
			rb, _ := new(big.Rat).SetString(b)
			if got, want := da.compare(db), ra.Cmp(rb); got != want {
				t.Errorf("compare(%s, %s) = %d, want %d", a, b, got, want)
			}
			if same := string(da.append(nil)) == string(db.append(nil)); same != (ra.Cmp(rb) == 0) {
				t.Errorf("canonical forms of %s and %s are the same: %v", a, b, same)
			}
			if v, ok := newDivisor(db); ok {
				if got, want := v.divides(da), new(big.Rat).Quo(ra, rb).IsInt(); got != want {
					t.Errorf("%s divides %s: %v, want %v", b, a, got, want)
				}
			}
		}
	}
}
