//go:build !linux

package outbox

import (
	"math"
	"os"
)

// linksOf returns 1: what a file is called elsewhere is not known.
func linksOf(os.FileInfo) uint64 { return 1 }

// isMounted returns false: nothing is known of that.
func isMounted(string) bool { return false }

// mountOf returns 0: nothing is known of that.
func mountOf(string) uint64 { return 0 }

// freeIn returns that there is room: nothing is known of that.
func freeIn(string) int64 { return math.MaxInt64 }
