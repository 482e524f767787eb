package schema

import (
	"bytes"
	"cmp"
	"math/bits"
	"strconv"
)

// decimal is the exact value of a JSON number: ±0.d₁d₂…dₙ × 10^exp with d₁ and dₙ not zero. It refers to the
// text of the number, so it costs nothing to make, and an exponent of any size costs nothing to compare.
// encoding/json would round to float64, and math/big would spell out every zero of 1e1000000.
type decimal struct {
	neg    bool
	digits []byte // the text between the first and the last digit that is not zero, perhaps with a point in it
	n      int    // digits without the point; 0 is the number zero
	exp    int64
}

// maxExponent bounds the exponents that are taken at their word. Larger ones are taken for this one, which
// [exponentInRange] keeps from mattering.
const maxExponent = 1_000_000_000

// parseDecimal reads a well-formed JSON number.
func parseDecimal(text []byte) decimal {
	var d decimal
	if text[0] == '-' {
		d.neg = true
		text = text[1:]
	}
	mantissa := text
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		mantissa = text[:e]
		d.exp = parseExponent(text[e+1:])
	}
	point := bytes.IndexByte(mantissa, '.')
	if point < 0 {
		point = len(mantissa)
	}
	first := bytes.IndexAny(mantissa, "123456789")
	if first < 0 {
		return decimal{}
	}
	last := bytes.LastIndexAny(mantissa, "123456789")
	d.digits = mantissa[first : last+1]
	d.n = len(d.digits)
	if first < point {
		d.exp += int64(point - first)
		if last > point {
			d.n--
		}
	} else {
		d.exp -= int64(first - point - 1)
	}
	return d
}

func parseExponent(text []byte) int64 {
	neg := text[0] == '-'
	if neg || text[0] == '+' {
		text = text[1:]
	}
	var e int64
	for _, c := range text {
		if e = e*10 + int64(c-'0'); e > maxExponent {
			e = maxExponent
		}
	}
	if neg {
		return -e
	}
	return e
}

// exponentInRange reports whether the exponent of a well-formed JSON number is below maxExponent.
func exponentInRange(text []byte) bool {
	e := bytes.IndexAny(text, "eE")
	if e < 0 {
		return true
	}
	x := parseExponent(text[e+1:])
	return -maxExponent < x && x < maxExponent
}

// isInteger reports whether d has no fraction: 1.0 and 1e2 are integers, as JSON Schema has it.
func (d decimal) isInteger() bool {
	return int64(d.n) <= d.exp || d.n == 0
}

// compare returns -1, 0 or 1 as d is less than, equal to or greater than o.
func (d decimal) compare(o decimal) int {
	switch {
	case d.n == 0 && o.n == 0:
		return 0
	case d.n == 0:
		return -o.sign()
	case o.n == 0 || d.neg != o.neg:
		return d.sign()
	case d.exp != o.exp:
		return d.sign() * cmp.Compare(d.exp, o.exp)
	}
	return d.sign() * d.compareDigits(o)
}

// compareDigits compares the digits alone.
func (d decimal) compareDigits(o decimal) int {
	i, j := 0, 0
	for i < len(d.digits) && j < len(o.digits) {
		switch {
		case d.digits[i] == '.':
			i++
		case o.digits[j] == '.':
			j++
		case d.digits[i] != o.digits[j]:
			return cmp.Compare(d.digits[i], o.digits[j])
		default:
			i++
			j++
		}
	}
	return cmp.Compare(d.n, o.n)
}

func (d decimal) sign() int {
	if d.neg {
		return -1
	}
	return 1
}

// append appends a form that is the same for equal numbers and for no others.
func (d decimal) append(dst []byte) []byte {
	if d.n == 0 {
		return append(dst, '0', ';')
	}
	if d.neg {
		dst = append(dst, '-')
	}
	for _, c := range d.digits {
		if c != '.' {
			dst = append(dst, c)
		}
	}
	dst = append(dst, 'e')
	dst = strconv.AppendInt(dst, d.exp, 10)
	return append(dst, ';')
}

// divisor is the value of multipleOf as m × 10^exp with m not divisible by ten.
type divisor struct {
	m   uint64
	exp int64
}

// newDivisor reports false if d is zero, negative, or has more digits than fit.
func newDivisor(d decimal) (divisor, bool) {
	if d.n == 0 || d.neg {
		return divisor{}, false
	}
	var m uint64
	for _, c := range d.digits {
		if c == '.' {
			continue
		}
		if m > (1<<63)/10 {
			return divisor{}, false
		}
		m = m*10 + uint64(c-'0')
	}
	return divisor{m: m, exp: d.exp - int64(d.n)}, true
}

// divides reports whether d is an integer multiple of v, in time linear in the digits of d.
func (v divisor) divides(d decimal) bool {
	if d.n == 0 {
		return true
	}
	shift := d.exp - int64(d.n) - v.exp
	if shift < 0 {
		return false // the last digit of d is not zero, so d has a finer grain than v
	}
	var r uint64
	for _, c := range d.digits {
		if c == '.' {
			continue
		}
		hi, lo := bits.Mul64(r, 10)
		lo, carry := bits.Add64(lo, uint64(c-'0'), 0)
		r = bits.Rem64(hi+carry, lo, v.m)
	}
	power, base := 1%v.m, 10%v.m // 10^shift modulo m by squaring
	for ; shift > 0; shift >>= 1 {
		if shift&1 == 1 {
			power = mulMod(power, base, v.m)
		}
		base = mulMod(base, base, v.m)
	}
	return mulMod(r, power, v.m) == 0
}

func mulMod(a, b, m uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return bits.Rem64(hi, lo, m)
}
