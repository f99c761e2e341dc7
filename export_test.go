package kissmetrics

import "net/http"

// Query is the encoder of the hot path, for the tests that hold it equal to
// go-querystring's.
func (r *Record) Query(apiKey string) string { return r.query(apiKey) }

// Packed is the records as a queue gives them back.
func Packed(records []Record) []Record { return unpackRecords(packRecords(records), nil, nil) }

// ReadWritten reads a line by the short way alone, and ReadLine by the long one.
func ReadWritten(line []byte) (Record, bool) { return readWritten(string(line)) }

// ReadLine is the long way of UnmarshalJSON.
func ReadLine(line []byte) (Record, error) {
	read, err := readLine(line, true)
	return read.Record, err
}

// Transport is the sender's own.
func (s *HTTPSender) Transport() *http.Transport { return s.connections.transport }
