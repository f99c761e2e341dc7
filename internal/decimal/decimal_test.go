package decimal_test

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
)

func TestPlain(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0", "-0": "0", "-0.00": "0", "42": "42", "42.0": "42", "1.50": "1.5", "-1.50": "-1.5", "100": "100",
		"1e2": "100", "1.5E+3": "1500", "1.5e-3": "0.0015", "-0e5": "0", "0e999999999": "0", "-0.0e-99999999999999999999": "0", "12345e-3": "12.345",
		"9007199254740993": "9007199254740993", "-12e-1": "-1.2", "1e-7": "0.0000001", "10e-1": "1",
	} {
		plain, ok := decimal.Plain(s, 512)
		assert.True(t, ok, s)
		assert.Equal(t, want, plain, s)
		assert.True(t, decimal.IsNumber(plain), s)
	}
	for _, s := range []string{
		"", "-", "+1", "01", "1.", ".5", "1e", "1e1.5", "e1", "0x1", "NaN", "Infinity", "1_0", " 1", "1e999999999", "1e-999999999",
		"1e99999999999999999999", "1e-99999999999999999999", "1e9223372036854775808", "1e512", strings.Repeat("1", 513),
	} {
		_, ok := decimal.Plain(s, 512)
		assert.False(t, ok, s)
	}
	_, ok := decimal.Plain("1e511", 512)
	assert.True(t, ok)
}

func TestIsNumber(t *testing.T) {
	for _, s := range []string{"0", "-0", "1.0", "12.50", "-7"} {
		assert.True(t, decimal.IsNumber(s), s)
	}
	for _, s := range []string{"", "01", "1.", ".1", "1e2", "+1", "--1", "true"} {
		assert.False(t, decimal.IsNumber(s), s)
	}
}

func TestCutLeavesTheValue(t *testing.T) {
	for _, test := range []struct{ s, want string }{
		{"1.23456", "1.234"}, {"12345", "12345"}, {"1.0004", "1"}, {"1234.5", "1234"}, {"-0.0004", "0"}, {"12345.67", "12345"},
	} {
		cut, ok := decimal.Cut(test.s, 5)
		assert.True(t, ok, test.s)
		assert.Equal(t, test.want, cut)
	}
	for _, s := range []string{"123456", "123456.7", "-12345"} {
		_, ok := decimal.Cut(s, 5)
		assert.False(t, ok, s)
	}
}

func TestFloatsAndDurations(t *testing.T) {
	for v, want := range map[float64]string{
		25: "25", 25.5: "25.5", -0.05: "-0.05", 1e21: "1000000000000000000000", 1e-7: "0.0000001", math.Copysign(0, -1): "0", 0.1: "0.1",
	} {
		assert.Equal(t, want, string(decimal.AppendFloat(nil, v, 64)))
	}
	assert.Equal(t, "0.1", string(decimal.AppendFloat(nil, float64(float32(0.1)), 32)))
	for d, want := range map[time.Duration]string{
		0: "0", 1500 * time.Millisecond: "1.5", -2 * time.Minute: "-120", -time.Nanosecond: "-0.000000001",
		math.MinInt64: "-9223372036.854775808", 10 * time.Millisecond: "0.01",
	} {
		assert.Equal(t, want, string(decimal.AppendSeconds(nil, d)))
	}
}

func TestBigNumbers(t *testing.T) {
	float := func(s string, precision uint) *big.Float {
		f, _, err := big.ParseFloat(s, 10, precision, big.ToNearestEven)
		require.NoError(t, err)
		return f
	}
	for want, v := range map[string]*big.Float{
		"1000000": big.NewFloat(1e6), "0.1": big.NewFloat(0.1), "0": big.NewFloat(math.Copysign(0, -1)),
		"-12345678901234567890.5": float("-12345678901234567890.5", 200),
	} {
		plain, ok := decimal.BigFloat(v, 512)
		assert.True(t, ok)
		assert.Equal(t, want, plain)
	}
	for _, v := range []*big.Float{new(big.Float).SetInf(true), new(big.Float).SetMantExp(big.NewFloat(1), math.MaxInt32), new(big.Float).SetMantExp(big.NewFloat(1), math.MinInt32), float("1e600", 64)} {
		_, ok := decimal.BigFloat(v, 512)
		assert.False(t, ok)
	}
	for _, test := range []struct {
		v    *big.Rat
		want string
	}{
		{big.NewRat(1, 4), "0.25"}, {big.NewRat(-5, 1), "-5"}, {new(big.Rat), "0"}, {big.NewRat(1, 1<<60), ""}, {big.NewRat(2, 3), "0.6666666666666666667"},
	} {
		plain, ok := decimal.BigRat(test.v, 512)
		assert.True(t, ok)
		assert.True(t, decimal.IsNumber(plain), plain)
		if test.want != "" {
			assert.Equal(t, test.want, plain)
		}
	}
	ten := big.NewInt(10)
	for digits, ok := range map[int64]bool{1: true, 512: true, 513: false, 100_000_000: false} {
		v := new(big.Int).Exp(ten, big.NewInt(min(digits, 600)-1), nil)
		if digits > 600 {
			v = new(big.Int).Lsh(ten, uint(digits)) // whose text would take minutes
		}
		plain, written := decimal.BigInt(v, 512)
		assert.Equal(t, ok, written, digits)
		if ok {
			assert.Equal(t, v.String(), plain)
		}
	}
	_, ok := decimal.BigRat(new(big.Rat).SetFrac(new(big.Int).Lsh(big.NewInt(1), 100_000), big.NewInt(3)), 512)
	assert.False(t, ok)
	_, ok = decimal.BigRat(new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 100_000)), 512)
	assert.False(t, ok)
}

func TestAmounts(t *testing.T) {
	for _, test := range []struct{ name, s, want string }{
		{"as a program writes it", "1234.5", "1234.5"},
		{"zeros at its end", "25.50", "25.5"},
		{"nothing", "0.00", "0"},
		{"less than nothing", "-0", "0"},
		{"zeros at its start", "007", "7"},
		{"a fraction only", ".5", "0.5"},
		{"a point without a fraction", "5.", "5"},
		{"three decimals that can be no thousands", "0.125", "0.125"},
		{"three decimals behind four digits", "1234.567", "1234.567"},
		{"three decimals behind thousands", "1,234.567", "1234.567"},
		{"a plus", "+5", "5"},
		{"the minus of mathematics", "−12.50", "-12.5"},
		{"a full-width minus", "－5", "-5"},
		{"a minus at the end", "12.50-", "-12.5"},
		{"parentheses", "(12.50)", "-12.5"},
		{"parentheses around the symbol", "($12.50)", "-12.5"},
		{"parentheses behind the symbol", "$(12.50)", "-12.5"},
		{"an exponent", "1e3", "1000"},
		{"an exponent with a sign", "-1.5E-2", "-0.015"},
		{"thousands", "1,234,567.00", "1234567"},
		{"thousands without a fraction", "1,234", "1234"},
		{"Swiss thousands", "1'234.50", "1234.5"},
		{"Swiss thousands, typographic", "1’234’567", "1234567"},
		{"spaces between thousands", "1 234.50", "1234.5"},
		{"no-break spaces", "1\u00a0234\u00a0567", "1234567"},
		{"narrow spaces", "12\u202f345.6", "12345.6"},
		{"Indian grouping", "₹1,23,456.00", "123456"},
		{"crores", "Rs. 1,23,45,678", "12345678"},
		{"rupees and nothing else", "Rs.500/-", "500"},
		{"a symbol before", "$25", "25"},
		{"a symbol after", "12 €", "12"},
		{"a sign before the symbol", "-$25", "-25"},
		{"a sign behind the symbol", "$-25", "-25"},
		{"spaces everywhere", " - $ 25 ", "-25"},
		{"the letters of a country", "US$12.00", "12"},
		{"a Brazilian one", "R$ 1,234.50", "1234.5"},
		{"the letters behind", "12.50 $US", "12.5"},
		{"a code before", "USD 12", "12"},
		{"a code after", "12.50 EUR", "12.5"},
		{"a code in lower case", "12.50 eur", "12.5"},
		{"symbol and code", "$12 USD", "12"},
		{"code and symbol", "USD $12", "12"},
		{"kroner", "kr 12.50", "12.5"},
		{"kroner after, with a dot", "12.50 kr.", "12.5"},
		{"zloty", "12.50 zł", "12.5"},
		{"soles", "S/ 12.50", "12.5"},
		{"soles with a dot", "S/.12.50", "12.5"},
		{"francs", "Fr. 12.50", "12.5"},
		{"roubles", "12 руб.", "12"},
		{"yen", "￥1,200", "1200"},
		{"yen after", "1,200円", "1200"},
		{"full-width digits", "１，２３４．５０", "1234.5"},
		{"Arabic digits", "١٬٢٣٤٫٥٠", "1234.5"},
		{"Arabic decimals, three", "١٫٢٣٤", "1.234"},
		{"one Arabic decimal", "١٫٥", "1.5"},
		{"Persian digits", "۱۲", "12"},
		{"Devanagari digits", "₹१२.५", "12.5"},
		{"marks of direction", "\u200f12.50\u00a0₪\u200f", "12.5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			amount, ok := decimal.Amount(test.s)
			assert.Equal(t, test.want != "", ok, test.s)
			assert.Equal(t, test.want, amount, test.s)
		})
	}
}

func TestTextsThatAreNoAmount(t *testing.T) {
	for name, texts := range map[string][]string{
		"nothing":                 {"", " ", ".", "$", "EUR", "-", "+", "()", "$ EUR"},
		"words":                   {"five", "free", "NaN", "Infinity", "true", "12 pcs", "ABC 12", "12 OFF", "12k", "1.5M", "0x10", "1_000"},
		"a comma for the point":   {"1,5", "12,34", "1.234,50", "1 234,50", "R$ 12,00", "0,123", "1,2345"},
		"thousands or a fraction": {"1.234", "12.345", "123.456", "$1.234", "(1.000)", "-25.000 EUR", "１．２３４"},
		"thousands by points":     {"1.234.567", "1.2.3"},
		"groups that are none":    {",123", "1,,234", "1,23", "12,345,67", "1234,567", "1,2,345", "1,234'567", "5 10", "1 2", "1,234,", "1, 234", "1.234,567", "0,123.50"},
		"parts of a unit":         {"12¢", "¢12", "12%", "12‰", "12 ￠"},
		"two signs":               {"--5", "-+5", "-(5)", "(-5)", "-5-", "+-5", "(+5)", "--5e5", "-\u22125e5", "$--5E5"},
		"two currencies":          {"$12€", "EUR 12 USD", "€$12"},
		"a dash for the fraction": {"5.-", "5,-", "5.–"},
		"ranges and lists":        {"5-10", "5–10", "5/10", "1 & 2", "5, 300"},
		"digits of two scripts":   {"1٢", "１2"},
		"exponents of no program": {"1e", "e3", "1e3.5", "1,000e3", "1e999"},
		"too long":                {strings.Repeat("9", 101)},
	} {
		for _, s := range texts {
			amount, ok := decimal.Amount(s)
			assert.False(t, ok, "%s: %q is %q", name, s, amount)
			assert.Empty(t, amount)
		}
	}
}

func FuzzAmount(f *testing.F) {
	for _, s := range []string{"$1,234.50", "(12.50)", "1e3", "US$ 12 USD", "١٬٢٣٤٫٥٠", "-1'234", "--5e5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		amount, ok := decimal.Amount(s)
		if !ok {
			require.Empty(t, amount)
			return
		}
		require.True(t, decimal.IsNumber(amount), "%q is %q", s, amount)
		plain, ok := decimal.Plain(amount, len(amount))
		require.True(t, ok)
		require.Equal(t, amount, plain)
		if v, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "xX_pP") {
			w, err := strconv.ParseFloat(amount, 64)
			require.NoError(t, err)
			require.InDelta(t, v, w, math.Abs(v)/1e9, "%q", s)
		}
	})
}

func FuzzPlain(f *testing.F) {
	f.Add("1.50e-3")
	f.Add("-0e9")
	f.Fuzz(func(t *testing.T, s string) {
		plain, ok := decimal.Plain(s, 512)
		if !ok {
			return
		}
		require.True(t, decimal.IsNumber(plain))
		want, ok := new(big.Rat).SetString(s)
		if ok {
			got, _ := new(big.Rat).SetString(plain)
			require.Zero(t, want.Cmp(got), "%q is %q", s, plain)
		}
	})
}
