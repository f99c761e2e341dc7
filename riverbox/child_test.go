package riverbox_test

const childRole = "RIVERBOX_TEST_ROLE"

func child(string) int { return 1 }
