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
	config     any // in place of the body
}

// answerBody is the JSON of an answer. Its success is what Segment's API says;
// the rest is ours.
type answerBody struct {
	Success  bool            `json:"success"`
	Accepted *int            `json:"accepted,omitempty"`
	Rejected int             `json:"rejected,omitempty"`
	Deferred int             `json:"deferred,omitempty"`
	Errors   []answerFailure `json:"errors,omitempty"`
	Adjusted []answerChange  `json:"adjusted,omitempty"`
	Error    string          `json:"error,omitempty"`
	Code     string          `json:"code,omitempty"`
	Message  string          `json:"message,omitempty"`
}

type answerFailure struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Error     string `json:"error"`
}

// answerChange says what of a message was adjusted.
type answerChange struct {
	Index       int                `json:"index"`
	MessageID   string             `json:"messageId,omitempty"`
	Adjustments []answerAdjustment `json:"adjustments"`
}

type answerAdjustment struct {
	Field    string                     `json:"field"`
	Property string                     `json:"property,omitempty"`
	Kind     kissmetrics.AdjustmentKind `json:"kind"`
}

// failure returns an answer of one fault. The SDKs for Python read its code and
// message, others its error.
func failure(status int, code, reason string) answer {
	return answer{status: status, body: answerBody{Error: reason, Code: code, Message: reason}}
}

// answer returns the answer to a request that was taken apart.
func (t taken) answer(isBatch bool) answer {
	a := answer{status: http.StatusOK}
	switch {
	case t.deferred > 0:
		a = failure(http.StatusServiceUnavailable, "try_again", "try again")
		a.retryAfter = retryAfter(t.why)
		if errors.Is(t.why, kissmetrics.ErrQueueFull) {
			a.status = http.StatusTooManyRequests
		}
	case t.refused == 0:
		a.body.Success = true
	case t.accepted == 0 && !isBatch:
		a = failure(http.StatusBadRequest, "invalid_message", safeText(t.first))
	case t.accepted == 0:
		a.body = failure(0, "invalid_messages", safeText(t.first)).body
	}
	if isBatch && !a.body.Success {
		a.body.Accepted, a.body.Rejected, a.body.Deferred = &t.accepted, t.refused, t.deferred
		for _, f := range t.failures {
			a.body.Errors = append(a.body.Errors, answerFailure{f.Index, echoed(f.MessageID), f.Reason})
		}
	}
	for _, r := range t.adjusted {
		change := answerChange{Index: r.Index, MessageID: echoed(r.MessageID)}
		for _, adjustment := range r.Adjustments[:min(len(r.Adjustments), listedFailures)] {
			change.Adjustments = append(change.Adjustments, answerAdjustment(adjustment))
		}
		a.body.Adjusted = append(a.body.Adjusted, change)
	}
	return a
}

// echoed returns a messageId, as much of it as is told back.
func echoed(id string) string { return id[:min(len(id), echoedIDBytes)] }

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
	var content any = a.body
	if a.config != nil {
		content = a.config
	}
	body, _ := json.Marshal(content) // texts and numbers cannot fail
	_, _ = w.Write(body)             // or nobody hears it any more
}
