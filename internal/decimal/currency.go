package decimal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// codes are the currencies of ISO 4217.
const codes = " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD" +
	" CAD CDF CHF CLF CLP CNH CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD" +
	" HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD" +
	" MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG" +
	" QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS" +
	" UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL "

// abbreviations are what people write for a currency that has no symbol, in
// lower case and without a dot at the end.
var abbreviations = [...]string{"kr", "zł", "kč", "ft", "fr", "sfr", "lei", "лв", "руб", "р", "грн", "rs", "rp", "rm", "s/", "b/", "bs", "ksh", "元", "円", "圆", "원", "đ"}

// minor are symbols of a part of a currency's unit, which no amount is in.
const minor = "¢￠₥₰৻"

// withoutCurrency returns a number without the currency before and after it: a
// symbol or an abbreviation, a code, or both.
func withoutCurrency(s string) (number string, found bool) {
	symbols, isoCodes := 0, 0
	for {
		rest, isCode, ok := cutBefore(s)
		if !ok {
			rest, isCode, ok = cutAfter(s)
		}
		if !ok {
			break
		}
		if isCode {
			isoCodes++
		} else {
			symbols++
		}
		s = trim(rest)
	}
	if symbols > 1 || isoCodes > 1 {
		return "", true // two currencies are none
	}
	return s, symbols+isoCodes > 0
}

// cutBefore returns what follows a currency.
func cutBefore(s string) (rest string, isCode, ok bool) {
	rest = strings.TrimLeftFunc(s, unicode.IsLetter)
	word := s[:len(s)-len(rest)]
	if symbol, size := utf8.DecodeRuneInString(rest); isSymbol(symbol) && isCountry(word) {
		return rest[size:], false, true
	}
	if isISO(word) {
		return rest, true, true
	}
	if slash, found := strings.CutPrefix(rest, "/"); found {
		word, rest = word+"/", slash
	}
	return strings.TrimPrefix(rest, "."), false, isAbbreviation(word)
}

// cutAfter returns what stands before a currency.
func cutAfter(s string) (rest string, isCode, ok bool) {
	undotted := strings.TrimSuffix(s, ".")
	rest = strings.TrimRightFunc(undotted, unicode.IsLetter)
	word := undotted[len(rest):]
	if symbol, size := utf8.DecodeLastRuneInString(rest); isSymbol(symbol) && isCountry(word) && (word != "" || s == undotted) {
		return rest[:len(rest)-size], false, true
	}
	if isISO(word) {
		return rest, true, true
	}
	return rest, false, isAbbreviation(word)
}

func isSymbol(r rune) bool {
	return unicode.Is(unicode.Sc, r) && !strings.ContainsRune(minor, r)
}

// isCountry reports whether a word is what stands beside a symbol that several
// countries share, as in US$ and R$, or nothing.
func isCountry(word string) bool {
	return len(word) <= 3 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func isISO(word string) bool {
	return len(word) == 3 && strings.Contains(codes, " "+strings.ToUpper(word)+" ")
}

func isAbbreviation(word string) bool {
	return word != "" && slices.Contains(abbreviations[:], strings.ToLower(word))
}
