package kissmetrics

import (
	"net/http"
	"time"
)

// Query is the encoder of the hot path, for the tests that hold it equal to
// go-querystring's.
func (r *Record) Query(apiKey string) string { return r.query(apiKey) }

// Packed is the records as a queue gives them back: where they are the caller's,
// and where a worker had others before.
func Packed(records, before []Record) (own, lent []Record) {
	var r room
	unpackRecords(packRecords(before), &r)
	return unpackRecords(packRecords(records), nil), unpackRecords(packRecords(records), &r)
}

// Transport is the sender's own.
func (s *HTTPSender) Transport() *http.Transport { return s.connections.transport }

// SetTold has the log told of adjustments last at the given time.
func (c *Client) SetTold(at time.Time) { c.told.Store(at.UnixNano()) }
