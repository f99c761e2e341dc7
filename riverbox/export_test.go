package riverbox

// Offline returns a sender without a database, for workers that need none.
func Offline(options ...Option) *Sender {
	c, err := configure(options)
	if err != nil {
		panic(err)
	}
	return &Sender{config: c}
}
