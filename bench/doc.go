// Package bench compares the queue of package kissmetrics with those of two
// other clients, with a bare net/http loop, and with itself under contention. It
// has benchmarks only; the README says what they found and how to run them.
package bench
