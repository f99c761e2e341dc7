// Package librarytest tests the outbox in a process that has another SQLite
// library too: mattn/go-sqlite3, which is SQLite's own C code.
package librarytest
