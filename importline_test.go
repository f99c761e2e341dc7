package kissmetrics

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAppendTextIsThatOfPackageJSON(t *testing.T) {
	texts := []string{"", "order-17", `a "b" \ c`, "<a&b>", "é😀", "\u2028", "\xff", "a\xffb", "日本"}
	for c := range rune(0x250) {
		texts = append(texts, string(c), "x"+string(c)+"y")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(appendText(nil, text)))
	}
}
