package natsbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of the server's errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json.
const (
	codeAccountResources  jetstream.ErrorCode = 10002
	codeServerResources   jetstream.ErrorCode = 10023
	codeStorageResources  jetstream.ErrorCode = 10047
	codeMessageTooLarge   jetstream.ErrorCode = 10054
	codeWrongStream       jetstream.ErrorCode = 10060
	codeStreamStoreFailed jetstream.ErrorCode = 10077
	codeStreamSealed      jetstream.ErrorCode = 10109
)

// isFull reports whether there is no room for a message.
func isFull(err error) bool {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	switch failed.ErrorCode {
	case codeAccountResources, codeServerResources, codeStorageResources:
		return true
	case codeStreamStoreFailed: // with a text that says why
		return strings.HasPrefix(failed.Description, "maximum ") && strings.HasSuffix(failed.Description, " exceeded")
	}
	return false
}

// isTooLarge reports whether the server will never take a message of this size.
func isTooLarge(err error) bool {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, nats.ErrMaxPayload) || ok && failed.ErrorCode == codeMessageTooLarge
}

// mayPass reports whether a failed attempt at storing is worth another. A closed
// connection stays closed, and so does a stream that is sealed; a subject that another
// stream has, in whatever domain, is not ours.
func mayPass(err error) bool {
	_, wrong := errors.AsType[*SettingsError](err)
	failed, ok := errors.AsType[*jetstream.APIError](err)
	return !wrong && !errors.Is(err, nats.ErrConnectionClosed) &&
		(!ok || failed.ErrorCode != codeWrongStream && failed.ErrorCode != codeStreamSealed)
}

// isFinal reports whether a relay that got this error can never go on.
func isFinal(err error) bool {
	_, wrong := errors.AsType[*SettingsError](err)
	return wrong || errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionClosed)
}

// isWrongConsumer reports whether the server will never create the consumer, for
// example because the stream has another one. A consumer that another relay has
// created in the same moment is no such case.
func isWrongConsumer(err error) (description string, ok bool) {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || failed.Code != http.StatusBadRequest || errors.Is(err, jetstream.ErrConsumerExists) {
		return "", false
	}
	return failed.Description, true
}

// explained adds to an error why the server may have given no answer; see [explained].
func (s *Sender) explained(err error) error { return explained(s.js.Conn(), err) }

// explained adds to an error why the server may have given no answer. That is nothing
// it answers: it says what it forbids, and whom, on the connection, and then may close
// that.
func explained(on *nats.Conn, err error) error {
	said := on.LastError()
	isForbidden := func(forbidden error) bool { return errors.Is(said, forbidden) }
	switch {
	case errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, jetstream.ErrConnectionClosed):
		if said == nil { // the owner has closed it
			return err
		}
		return fmt.Errorf("%w, after: %w", err, said)
	case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoHeartbeat):
		return err
	case slices.ContainsFunc([]error{
		nats.ErrPermissionViolation, nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrMaxSubscriptionsExceeded, nats.ErrMaxConnectionsExceeded, nats.ErrMaxAccountConnectionsExceeded,
	}, isForbidden):
		return fmt.Errorf("%w; the server has said: %w", err, said)
	case on.IsConnected():
		return err
	case said == nil:
		return fmt.Errorf("%w; the connection is down", err)
	}
	return fmt.Errorf("%w; the connection is down, after: %w", err, said)
}

// reason says why something failed, in words of the server or of nats.go. Neither
// knows what records hold.
func (s *Sender) reason(err error) string {
	text := s.explained(err).Error()
	if errors.Is(err, context.DeadlineExceeded) {
		return strings.Replace(text, err.Error(), "no answer from the server", 1)
	}
	return text
}
