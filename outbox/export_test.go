package outbox

// WithMaxMessage sets how many bytes a message may have.
func WithMaxMessage(bytes int) Option { return func(c *config) { c.maxMessage = bytes } }
