package query

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzAppendEscaped(f *testing.F) {
	for _, seed := range []string{"", "plain", "a b+c%d&e=f", "naïve 東京 😀", "\x00\xff\n~-_."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		assert.Equal(t, "kept"+url.QueryEscape(s), string(AppendEscaped([]byte("kept"), s)))
	})
}

func TestAppendEscapedEveryByte(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	assert.Equal(t, url.QueryEscape(all.String()), string(AppendEscaped(nil, all.String())))
}

func TestAppendPairSeparatesPairs(t *testing.T) {
	dst := AppendPair(nil, "a b", "1")
	dst = AppendPair(dst, "c", "d&e")
	assert.Equal(t, "a+b=1&c=d%26e", string(dst))
}
