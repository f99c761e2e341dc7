package riverbox_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// River would try a job whose arguments it cannot decode again and again. So any
// JSON is taken, and what is wrong in part is as good as nothing: half of a message
// must not be delivered as if it were the whole.
func TestArgumentsOfWhichAPartIsWrongAreNone(t *testing.T) {
	t.Parallel()
	const line = `"{\"_p\":\"ada\",\"_t\":1700000000,\"_n\":\"E\"}"`
	for _, text := range []string{
		`{"version":1,"lines":[` + line + `,1]}`,
		`{"version":1,"lines":[` + line + `,null,{}]}`,
		`{"version":1,"lines":[` + line + `],"key":1}`,
		`{"lines":[` + line + `],"version":"1"}`,
		`{"version":1.5,"lines":[` + line + `]}`,
		`{"version":1,"lines":{"0":` + line + `}}`,
		`[{"version":1,"lines":[` + line + `]}]`,
		`"x"`, `1`, `true`, `null`,
	} {
		args := riverbox.Args{Version: 1, Lines: []string{"of another job"}, Key: "another"}
		require.NoError(t, json.Unmarshal([]byte(text), &args), text)
		assert.Zero(t, args, text)
		_, err := args.Records()
		require.ErrorIs(t, err, riverbox.ErrUnreadable, text)
	}
}

func TestArgumentsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	var args riverbox.Args
	require.NoError(t, json.Unmarshal([]byte(`{"version":1,"lines":["{\"_p\":\"ada\",\"_t\":1700000000,\"_n\":\"E\"}"],"key":"k","later":1}`), &args))
	assert.Equal(t, "k", args.Key)
	records, err := args.Records()
	require.NoError(t, err)
	assert.Equal(t, "E", records[0].Name)
}
