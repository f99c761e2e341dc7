package collect

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	listedFailures = 100 // of an answer, which says how many there were
	echoedIDBytes  = 100 // Segment's limit of a messageId
)

// An answer is what a request is answered with.
type answer struct {
	status     int
	retryAfter int
	challenge  bool
	body       answerBody
}

// answerBody is the JSON of an answer. Its success is what Segment's API says;
// the rest is ours.
type answerBody struct {
	Success  bool            `json:"success"`
	Accepted *int            `json:"accepted,omitempty"`
	Rejected int             `json:"rejected,omitempty"`
	Deferred int             `json:"deferred,omitempty"`
	Errors   []answerFailure `json:"errors,omitempty"`
	Error    string          `json:"error,omitempty"`
}

type answerFailure struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Error     string `json:"error"`
}

func failure(status int, reason string) answer {
	return answer{status: status, body: answerBody{Error: reason}}
}

// answer returns the answer to a request that was taken apart.
func (t taken) answer(isBatch bool) answer {
	a := answer{status: http.StatusOK}
	switch {
	case t.deferred > 0:
		a.status, a.retryAfter = http.StatusServiceUnavailable, retryAfter(t.why)
		if errors.Is(t.why, kissmetrics.ErrQueueFull) {
			a.status = http.StatusTooManyRequests
		}
		a.body.Error = "try again"
	case t.refused == 0:
		a.body.Success = true
		return a
	case t.accepted == 0:
		a.status = http.StatusBadRequest
		a.body.Error = safeText(t.first)
	}
	if isBatch {
		a.body.Accepted, a.body.Rejected, a.body.Deferred = &t.accepted, t.refused, t.deferred
		for _, f := range t.failures {
			id := f.MessageID
			if len(id) > echoedIDBytes {
				id = id[:echoedIDBytes]
			}
			a.body.Errors = append(a.body.Errors, answerFailure{f.Index, id, safeText(f.Err)})
		}
	}
	return a
}

// write answers a request.
func write(w http.ResponseWriter, a answer) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if a.challenge {
		header.Set("WWW-Authenticate", `Basic realm="write key"`)
	}
	w.WriteHeader(a.status)
	body, _ := json.Marshal(a.body) // texts and numbers cannot fail
	_, _ = w.Write(body)            // or nobody hears it any more
}
