package bulk_test

func crashing(dir, url string) error { return nil }
