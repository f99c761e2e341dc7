package reconcile

// BreakFile makes the next write fail.
func (a *Archive) BreakFile() { _ = a.file.Close() }
