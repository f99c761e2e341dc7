package riverbox

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// formatVersion is the format in which this package writes [Args].
const formatVersion = 1

var (
	// ErrUnreadable says that a job holds no records that could be read.
	ErrUnreadable = errors.New("riverbox: the job holds no readable records")
	// errNewer is what an older program of a deployment under way gets.
	errNewer = fmt.Errorf("%w: it was written by a newer version", ErrUnreadable)
)

// Args are the arguments of a job: the records of one message. They never hold
// an API key.
type Args struct {
	// Version is the version of the format, which is 1.
	Version int `json:"version"`
	// Lines are the records, each as the line of Kissmetrics' bulk import that
	// [kissmetrics.Record.MarshalJSON] returns. They are texts, not objects,
	// because PostgreSQL's jsonb would change them and refuse some.
	Lines []string `json:"lines"`
	// Key is the [kissmetrics.RepeatKey] of the records, in hexadecimal digits; see
	// [Sender.Send]. It is a hash, so that it holds no identity.
	Key string `json:"key" river:"unique"`
}

// Kind implements [github.com/riverqueue/river.JobArgs]: "kissmetrics_records".
func (Args) Kind() string { return "kissmetrics_records" }

// UnmarshalJSON takes any JSON, because River would try a job that it cannot decode
// again and again. Records says what is wrong. If a part of the arguments has
// the wrong type, they hold no records.
func (a *Args) UnmarshalJSON(data []byte) error {
	type plain Args
	var read plain
	if json.Unmarshal(data, &read) != nil {
		read = plain{}
	}
	*a = Args(read)
	return nil
}

// Records returns the records. The error wraps [ErrUnreadable].
func (a Args) Records() ([]kissmetrics.Record, error) {
	switch {
	case a.Version > formatVersion:
		return nil, errNewer
	case a.Version != formatVersion || len(a.Lines) == 0:
		return nil, ErrUnreadable
	}
	records := make([]kissmetrics.Record, len(a.Lines))
	for i, line := range a.Lines {
		if err := json.Unmarshal([]byte(line), &records[i]); err != nil {
			return nil, fmt.Errorf("%w: record %d of %d", ErrUnreadable, i+1, len(a.Lines))
		}
	}
	return records, nil
}

// newArgs returns the arguments of a message's job. A record without a time, which
// only an alias can be, gets the time of its acceptance. The error is the records'
// validation error.
func newArgs(records []kissmetrics.Record, now time.Time) (Args, error) {
	key := kissmetrics.RepeatKey(records)
	a := Args{Version: formatVersion, Lines: make([]string, len(records)), Key: hex.EncodeToString(key[:])}
	var problems []error
	for i, r := range records {
		if r.Time.IsZero() && r.Kind == kissmetrics.KindAlias {
			r.Time = now
		}
		line, err := r.MarshalJSON()
		if err != nil {
			problems = append(problems, err)
		}
		a.Lines[i] = string(line)
	}
	if len(problems) == 1 {
		return Args{}, problems[0]
	}
	return a, errors.Join(problems...)
}
