package kissmetricstest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A Fault is something that goes wrong with a request.
type Fault struct {
	// Status is the status of the answer; zero means 200.
	Status int
	// RetryAfter is the answer's Retry-After header, in seconds or as a date.
	RetryAfter string
	// Delay is how long the answer takes.
	Delay time.Duration
	// Cut says whether the connection is cut instead of answering.
	Cut Cut
	// Recorded says that the request counts although it went wrong, as when
	// only the answer is lost. A request that is only delayed always counts.
	Recorded bool
}

// A Cut says how a connection is cut.
type Cut int

const (
	// CutNothing cuts nothing.
	CutNothing Cut = iota
	// CutReset resets the connection before an answer. On a connection that it
	// has used before, net/http then repeats a GET by itself.
	CutReset
	// CutHalf closes the connection in the middle of the answer's headers.
	CutHalf
)

// recorded reports whether a request that meets the fault counts.
func (f Fault) recorded() bool {
	failed := f.Cut != CutNothing || f.Status < 200 && f.Status != 0 || f.Status > 299
	return !failed || f.Recorded
}

// Fail makes the next requests go wrong: the first by the first fault, the
// second by the second, and so on. A zero Fault lets its request pass.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// FailWith makes every request go wrong that decide returns a fault for, once
// the faults given to Fail are used up. It is called by many goroutines at
// once; its request has its parameters in Form. Nil ends it.
func (s *Server) FailWith(decide func(r *http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = decide
}

// arrive notes a request, and returns its place and what is to go wrong with it.
func (s *Server) arrive(r *http.Request) (place int, fault Fault) {
	s.mu.Lock()
	place = s.keep(r)
	if len(s.faults) > 0 {
		fault = s.faults[0]
		s.faults = s.faults[1:]
		s.mu.Unlock()
		return place, fault
	}
	decide := s.decide
	s.mu.Unlock()
	if decide != nil {
		if fault := decide(r); fault != nil {
			return place, *fault
		}
	}
	return place, Fault{}
}

// wait waits, and reports whether there is still somebody to answer.
func (s *Server) wait(r *http.Request, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.closed:
	}
	return false
}

// cut ends a connection without a whole answer.
func cut(w http.ResponseWriter, how Cut) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	if how == CutReset {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close with a reset
		}
		return
	}
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: %d\r\n\r\n%s", len(gif), gif)
	_, _ = conn.Write(answer[:bytes.Index(answer, []byte("Content-Length"))]) // whole lines, and no end
}
