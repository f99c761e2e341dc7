package collect

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Source is one of several senders of messages, such as a tenant or a product,
// that a handler tells apart by their write keys; see [WithSources].
type Source struct {
	// Name stands for the source in [Result] and in logs. It must not be empty, nor a
	// write key.
	Name string
	// WriteKeys are the keys of its SDKs, at least one. No other source has them.
	WriteKeys []string
	// Sender takes its records; nil stands for the handler's.
	Sender kissmetrics.Sender
	// Transform says how its messages become records. [WithTransform] does not hold
	// for it.
	Transform kissmetrics.TransformOptions
}

// sources are all sources of a handler, by the sums of their write keys.
type sources struct {
	sums [][sha256.Size]byte
	all  []*Source // each belongs to the sum at its place
}

func (s *sources) add(source *Source) {
	for _, key := range source.WriteKeys {
		s.sums = append(s.sums, sha256.Sum256([]byte(key)))
		s.all = append(s.all, source)
	}
}

// of returns the source that a write key belongs to, in a time that does not tell how
// much of the key is right.
func (s *sources) of(key string) (*Source, bool) {
	sum := sha256.Sum256([]byte(key))
	at := -1
	for i := range s.sums {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], s.sums[i][:]), i, at)
	}
	if at < 0 {
		return nil, false
	}
	return s.all[at], true
}
