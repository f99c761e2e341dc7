package natsbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

const (
	// systemTimeout bounds the wait for servers to tell their settings.
	systemTimeout = 2 * time.Second
	// defaultWindow is for how long the server knows a repeat, if not told otherwise. A
	// stream that has others as its sources knows none then.
	defaultWindow = 2 * time.Minute
)

// A SettingsError says that a stream, a consumer or a server has settings that
// break the promise of the package. Nothing was changed.
type SettingsError struct {
	// Problems lists every wrong setting, for people to read. Each begins with what
	// has it: "stream KISSMETRICS: …", "server n1: …".
	Problems []string
}

func (e *SettingsError) Error() string {
	return "natsbox: settings that lose records: " + strings.Join(e.Problems, "; ")
}

// settings collects the problems of one stream, consumer or server.
type settings struct {
	of       string
	problems []string
}

func (s *settings) must(ok bool, format string, args ...any) {
	if !ok {
		s.problems = append(s.problems, s.of+": "+fmt.Sprintf(format, args...))
	}
}

// CreateStreams creates the stream and the stream of parked messages, each with
// room for maxBytes bytes, headers and the server's own data included, and the
// consumer that all relays share. A stream that exists is left as it is; if its
// settings are others, that is an error. A consumer that exists is left as it is,
// and checked by [Sender.Run]. It takes the options WithStream, WithReplicas and
// WithAckWait.
//
// The NATS command line does the same by
//
//	nats stream add KISSMETRICS --subjects 'KISSMETRICS.records.*' --retention work \
//		--storage file --replicas 3 --discard new --max-bytes 10GB --defaults
//	nats stream add KISSMETRICS-PARKED --subjects KISSMETRICS.parked --retention limits \
//		--storage file --replicas 3 --discard new --max-bytes 10GB --defaults
//	nats consumer add KISSMETRICS relay --pull --ack explicit --wait 30s \
//		--max-pending 20000 --max-waiting 10000 --defaults
func CreateStreams(ctx context.Context, js jetstream.JetStream, maxBytes int64, options ...Option) error {
	c, err := configure(options)
	if maxBytes < 1 {
		err = errors.Join(err, fmt.Errorf("%w: CreateStreams: %d bytes leave no room", kissmetrics.ErrInvalidOption, maxBytes))
	}
	if nilness.IsNil(js) {
		err = errors.Join(err, fmt.Errorf("%w: CreateStreams: the JetStream is nil", kissmetrics.ErrInvalidOption))
	}
	if err != nil {
		return err
	}
	stream := jetstream.StreamConfig{
		Name:        c.stream,
		Description: "Records on their way to Kissmetrics",
		Subjects:    []string{c.subjects()},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    maxBytes,
		Storage:     jetstream.FileStorage,
		Replicas:    c.replicas,
	}
	parked := stream
	parked.Name, parked.Subjects, parked.Retention = c.parkedStream(), []string{c.parkedSubject()}, jetstream.LimitsPolicy
	parked.Description = "Records that Kissmetrics will never take"
	ctx = nilness.Context(ctx)
	for _, config := range []jetstream.StreamConfig{stream, parked} {
		if _, err := js.CreateStream(ctx, config); err != nil {
			return fmt.Errorf("natsbox: creating the stream %s: %w", config.Name, explained(js.Conn(), err))
		}
	}
	_, err = js.CreateConsumer(ctx, c.stream, c.consumer())
	if err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
		return fmt.Errorf("natsbox: creating the consumer %s: %w", consumerName, explained(js.Conn(), err))
	}
	return nil
}

// consumer returns the settings of the consumer that all relays share. As long as it
// exists, nobody else can take messages from the stream.
func (c *config) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       consumerName,
		Description:   "Relays to Kissmetrics",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.ackWait,
		MaxDeliver:    -1,
		MaxAckPending: maxUnderWay,
		MaxWaiting:    maxPulls,
	}
}

// check reports every setting that breaks the promise.
func (s *Sender) check(ctx context.Context) error {
	c := &s.config
	var problems []string
	var servers []*jetstream.ClusterInfo
	for _, name := range []string{c.stream, c.parkedStream()} {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("natsbox: the stream %s: %w", name, s.explained(err))
		}
		info := stream.CachedInfo()
		servers = append(servers, info.Cluster)
		problems = append(problems, c.streamProblems(&info.Config)...)
		if name == c.stream && info.State.Consumers > 0 && !s.hasConsumer(ctx, stream) {
			problems = append(problems, "stream "+name+": a mirror, or a stream that it is a source of, takes its messages, "+
				"for there is no consumer "+consumerName+" that keeps them")
		}
	}
	if c.system != nil {
		found, err := syncProblems(ctx, c.system, servers)
		if err != nil {
			return err
		}
		problems = append(problems, found...)
	}
	if len(problems) > 0 {
		return &SettingsError{problems}
	}
	return nil
}

// hasConsumer reports whether the consumer of the relays may exist: a sender need not
// be allowed to ask.
func (s *Sender) hasConsumer(ctx context.Context, stream jetstream.Stream) bool {
	ctx, cancel := context.WithTimeout(ctx, s.config.attemptTimeout)
	defer cancel()
	_, err := stream.Consumer(ctx, consumerName)
	return !errors.Is(err, jetstream.ErrConsumerNotFound)
}

// streamProblems compares the settings of one of the two streams.
func (c *config) streamProblems(has *jetstream.StreamConfig) []string {
	s := settings{of: "stream " + has.Name}
	subject, retention := c.subjects(), jetstream.WorkQueuePolicy
	if has.Name == c.parkedStream() {
		subject, retention = c.parkedSubject(), jetstream.LimitsPolicy
	}
	s.must(slices.Contains(has.Subjects, subject), "its subjects are %q, without %s", has.Subjects, subject)
	s.must(has.Retention == retention, "its retention is %v, not %v", has.Retention, retention)
	s.must(has.Storage == jetstream.FileStorage, "its storage is %v, not %v", has.Storage, jetstream.FileStorage)
	s.must(has.PersistMode == jetstream.DefaultPersistMode, "it is written asynchronously")
	s.must(has.Replicas >= c.replicas, "it has %d replicas, not %d", has.Replicas, c.replicas)
	s.must(has.Discard == jetstream.DiscardNew, "when full it discards what is old, not what is new")
	s.must(has.MaxBytes > 0, "it has no limit of bytes")
	s.must(has.MaxAge == 0, "it drops what is older than %v", has.MaxAge)
	s.must(has.MaxMsgsPerSubject <= 0, "it keeps %d messages of a subject only", has.MaxMsgsPerSubject)
	s.must(has.SubjectTransform == nil, "it renames subjects")
	s.must(has.Mirror == nil, "it is a mirror")
	window := min(c.timeout, defaultWindow) // attempts of a Send, or of a parking, that got no answer
	s.must(has.Duplicates >= window || has.Mirror != nil, "it knows a repeat for %v only, not for %v", has.Duplicates, window)
	s.must(!has.NoAck, "it acknowledges nothing")
	s.must(!has.Sealed, "it is sealed")
	if has.Name == c.parkedStream() { // a message that it does not take could never be parked
		s.must(has.MaxMsgSize <= 0, "it takes messages of %d bytes at most", has.MaxMsgSize)
	}
	return s.problems
}

// consumerProblems compares the settings of the consumer that all relays share.
func (c *config) consumerProblems(has *jetstream.ConsumerConfig) []string {
	s := settings{of: "consumer " + consumerName}
	s.must(has.AckPolicy == jetstream.AckExplicitPolicy, "its acknowledgements are %v, not %v", has.AckPolicy, jetstream.AckExplicitPolicy)
	s.must(has.AckWait == c.ackWait, "it waits %v for an acknowledgement, not %v", has.AckWait, c.ackWait)
	s.must(has.MaxDeliver < 0, "it gives up after %d deliveries", has.MaxDeliver)
	s.must(has.MaxAckPending < 0 || has.MaxAckPending >= maxUnderWay, "it hands out nothing more when %d messages fail", has.MaxAckPending)
	s.must(len(has.BackOff) == 0, "it has waits between deliveries of its own")
	s.must(has.FilterSubject == "" && len(has.FilterSubjects) == 0, "it takes some subjects only")
	s.must(has.DeliverPolicy == jetstream.DeliverAllPolicy, "it does not begin with the first message")
	s.must(has.ReplayPolicy == jetstream.ReplayInstantPolicy, "it hands out as slowly as messages came")
	s.must(has.PriorityPolicy == jetstream.PriorityPolicyNone, "it has priority groups")
	s.must(has.MaxRequestExpires == 0 || has.MaxRequestExpires >= pullExpiry, "it lets a relay wait for %v only", has.MaxRequestExpires)
	s.must(has.InactiveThreshold == 0, "it is removed when no relay runs for %v", has.InactiveThreshold)
	s.must(!has.HeadersOnly, "it hands out headers only")
	s.must(!has.MemoryStorage, "it is kept in memory")
	return s.problems
}

// syncProblems asks the servers that keep the streams whether they always sync.
// A server that is down need not answer, as long as a majority of each stream's
// servers does.
func syncProblems(ctx context.Context, system *nats.Conn, streams []*jetstream.ClusterInfo) ([]string, error) {
	always := map[string]bool{} // by the name of a server, of those that told
	told := func(of *jetstream.ClusterInfo) (n, all int) {
		for _, name := range serversOf(of) {
			if _, ok := always[name]; ok {
				n++
			}
			all++
		}
		return n, all
	}
	answers := system.NewInbox()
	subscription, err := system.SubscribeSync(answers)
	if err == nil {
		defer func() { _ = subscription.Unsubscribe() }()
		err = system.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", answers, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("natsbox: asking for the servers' settings: %w", explained(system, err))
	}
	ctx, cancel := context.WithTimeout(ctx, systemTimeout)
	defer cancel()
	var late error
	for slices.ContainsFunc(streams, func(of *jetstream.ClusterInfo) bool { n, all := told(of); return n < all }) {
		message, err := subscription.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			late = explained(system, err)
			break
		} else if errors.Is(err, nats.ErrNoResponders) {
			return nil, fmt.Errorf("natsbox: asking for the servers' settings: %w: only the system account can ask", err)
		} else if err != nil {
			return nil, fmt.Errorf("natsbox: asking for the servers' settings: %w", err)
		}
		var answer serverAnswer
		if err := json.Unmarshal(message.Data, &answer); err != nil {
			return nil, fmt.Errorf("natsbox: a server's settings: %w", err)
		}
		always[answer.Server.Name] = answer.Data.Config.SyncAlways
	}
	var problems []string
	for _, of := range streams {
		if n, all := told(of); n < all/2+1 {
			return nil, fmt.Errorf("natsbox: %d of %d servers told their settings: %w", n, all, late)
		}
		for _, name := range serversOf(of) {
			s := settings{of: "server " + name}
			syncs, ok := always[name]
			s.must(syncs || !ok, "its sync_interval is not always")
			problems = append(problems, s.problems...)
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems), nil
}

// serverAnswer is what matters here of a server's answer to the system account.
type serverAnswer struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data struct {
		Config struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	} `json:"data"`
}

// serversOf returns the names of the servers that keep a stream, the leader's
// first. While there is no leader it is unknown, and so is its name.
func serversOf(stream *jetstream.ClusterInfo) []string {
	if stream == nil {
		return []string{""}
	}
	names := []string{stream.Leader}
	for _, replica := range stream.Replicas {
		names = append(names, replica.Name)
	}
	return names
}
