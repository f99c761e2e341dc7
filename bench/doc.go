// Package bench compares the queue of package kissmetrics with those of three
// other clients, with a bare net/http loop, and with itself under contention, and
// the outbox with a bare log. It has benchmarks only; the README says what they
// found and how to run them.
package bench
