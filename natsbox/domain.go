package natsbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// checkDomain refuses an acknowledgement from another JetStream domain. A message
// goes to every stream with its subject that leaf nodes connect, and the nearest
// stream answers first, even one of which New has seen nothing.
func (s *Sender) checkDomain(ctx context.Context, ack *jetstream.PubAck) error {
	if known := s.domain.Load(); known != nil && *known == ack.Domain {
		return nil
	}
	domain, err := s.askDomain(ctx) // again, for servers may be given another one
	if err != nil {
		return err
	}
	s.domain.Store(&domain)
	if domain != ack.Domain {
		return &SettingsError{[]string{fmt.Sprintf("stream %s: another of its name, in the JetStream domain %q and not %q, takes the same messages",
			ack.Stream, ack.Domain, domain)}}
	}
	return nil
}

// askDomain asks in which JetStream domain the stream is, which nats.go does not tell.
func (s *Sender) askDomain(ctx context.Context) (string, error) {
	answer, err := s.js.Conn().RequestWithContext(ctx, apiPrefix(s.js.Options())+"STREAM.INFO."+s.config.stream, nil)
	if err != nil {
		return "", err
	}
	var info struct {
		Domain string              `json:"domain"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &info); err != nil {
		return "", fmt.Errorf("natsbox: the information about a stream: %w", err)
	}
	if info.Error != nil {
		return "", info.Error
	}
	return info.Domain, nil
}

// apiPrefix is what the subjects of JetStream's requests begin with.
func apiPrefix(options jetstream.JetStreamOptions) string {
	if options.Domain != "" {
		return "$JS." + options.Domain + ".API."
	}
	return strings.TrimSuffix(cmp.Or(options.APIPrefix, jetstream.DefaultAPIPrefix), ".") + "."
}
