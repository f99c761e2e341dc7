package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

// systemTimeout bounds the wait for servers to tell their settings.
const systemTimeout = 2 * time.Second

// A SettingsError says that a stream, a consumer or a server has settings with
// which the promise of the package would not hold. Nothing was changed.
type SettingsError struct {
	// Problems are all that is wrong, for people to read, each naming what it is
	// about: "stream KISSMETRICS: …", "server n1: …".
	Problems []string
}

func (e *SettingsError) Error() string {
	return "jetstream: settings that lose records: " + strings.Join(e.Problems, "; ")
}

// settings compares settings with what they must be.
type settings struct {
	of       string
	problems []string
}

func (s *settings) must(ok bool, format string, args ...any) {
	if !ok {
		s.problems = append(s.problems, s.of+": "+fmt.Sprintf(format, args...))
	}
}

// CreateStreams creates the stream, with room for maxBytes bytes (headers and
// what the server adds included), and the one of what can never be delivered, with
// as much. A stream that exists is left as it is, and is an error if it has other
// settings. It takes the options WithStream and WithReplicas.
//
// It is for those who have no other way to set up their servers. As commands of
// the NATS command line the same is:
//
//	nats stream add KISSMETRICS --subjects KISSMETRICS.records --retention work \
//		--storage file --replicas 3 --discard new --max-bytes 10GB --defaults
//	nats stream add KISSMETRICS-DEAD --subjects KISSMETRICS.dead --retention limits \
//		--storage file --replicas 3 --discard new --max-bytes 10GB --defaults
func CreateStreams(ctx context.Context, js natsjs.JetStream, maxBytes int64, options ...Option) error {
	c, err := configure(options)
	if maxBytes < 1 {
		err = errors.Join(err, fmt.Errorf("%w: CreateStreams: %d bytes are no room", kissmetrics.ErrInvalidOption, maxBytes))
	}
	if err != nil {
		return err
	}
	stream := natsjs.StreamConfig{
		Name:        c.stream,
		Description: "Records on their way to Kissmetrics",
		Subjects:    []string{c.subject()},
		Retention:   natsjs.WorkQueuePolicy,
		Discard:     natsjs.DiscardNew,
		MaxBytes:    maxBytes,
		Storage:     natsjs.FileStorage,
		Replicas:    c.replicas,
	}
	dead := stream
	dead.Name, dead.Subjects, dead.Retention = c.deadStream(), []string{c.deadSubject()}, natsjs.LimitsPolicy
	dead.Description = "Records that Kissmetrics will never take"
	for _, config := range []natsjs.StreamConfig{stream, dead} {
		if _, err := js.CreateStream(ctx, config); err != nil {
			return fmt.Errorf("jetstream: creating the stream %s: %w", config.Name, err)
		}
	}
	return nil
}

// check reports all settings with which the promise would not hold.
func (s *Sender) check(ctx context.Context) error {
	c := &s.config
	var problems []string
	var servers *natsjs.ClusterInfo
	for _, name := range []string{c.stream, c.deadStream()} {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("jetstream: the stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if name == c.stream {
			servers = info.Cluster
		}
		problems = append(problems, c.streamProblems(&info.Config)...)
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

// streamProblems compares the settings of one of the two streams.
func (c *config) streamProblems(has *natsjs.StreamConfig) []string {
	s := settings{of: "stream " + has.Name}
	subject, retention := c.subject(), natsjs.WorkQueuePolicy
	if has.Name == c.deadStream() {
		subject, retention = c.deadSubject(), natsjs.LimitsPolicy
	}
	s.must(slices.Contains(has.Subjects, subject), "its subjects are %q, without %s", has.Subjects, subject)
	s.must(has.Retention == retention, "its retention is %v, not %v", has.Retention, retention)
	s.must(has.Storage == natsjs.FileStorage, "its storage is %v, not %v", has.Storage, natsjs.FileStorage)
	s.must(has.PersistMode == natsjs.DefaultPersistMode, "it is written asynchronously")
	s.must(has.Replicas >= c.replicas, "it has %d replicas, not %d", has.Replicas, c.replicas)
	s.must(has.Discard == natsjs.DiscardNew, "when full it discards what is old, not what is new")
	s.must(has.MaxBytes > 0, "it has no limit of bytes")
	s.must(has.MaxAge == 0, "it drops what is older than %v", has.MaxAge)
	s.must(has.MaxMsgsPerSubject <= 0, "it keeps %d messages of a subject only", has.MaxMsgsPerSubject)
	s.must(has.SubjectTransform == nil, "it renames subjects")
	s.must(has.Mirror == nil, "it is a mirror")
	s.must(!has.NoAck, "it acknowledges nothing")
	s.must(!has.Sealed, "it is sealed")
	return s.problems
}

// syncProblems asks the servers that keep a stream whether they sync always.
// Those that are down cannot tell, and need not, as long as a majority does.
func syncProblems(ctx context.Context, system *nats.Conn, cluster *natsjs.ClusterInfo) ([]string, error) {
	waiting := map[string]bool{} // by name
	if cluster != nil && cluster.Leader != "" {
		waiting[cluster.Leader] = true
		for _, replica := range cluster.Replicas {
			waiting[replica.Name] = true
		}
	}
	majority := len(waiting)/2 + 1
	answers := nats.NewInbox()
	subscription, err := system.SubscribeSync(answers)
	if err == nil {
		defer func() { _ = subscription.Unsubscribe() }()
		err = system.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", answers, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: asking for the servers' settings: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, systemTimeout)
	defer cancel()
	var problems []string
	told := 0
	for told == 0 || len(waiting) > 0 {
		message, err := subscription.NextMsgWithContext(ctx)
		if err != nil && told >= majority && errors.Is(err, context.DeadlineExceeded) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("jetstream: %d of %d servers told their settings: %w", told, told+len(waiting), err)
		}
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				Config struct {
					SyncAlways bool `json:"sync_always"`
				} `json:"config"`
			} `json:"data"`
		}
		if err := json.Unmarshal(message.Data, &answer); err != nil {
			return nil, fmt.Errorf("jetstream: a server's settings: %w", err)
		}
		if len(waiting) > 0 && !waiting[answer.Server.Name] {
			continue // it does not keep the stream
		}
		delete(waiting, answer.Server.Name)
		told++
		s := settings{of: "server " + answer.Server.Name}
		s.must(answer.Data.Config.SyncAlways, "its sync_interval is not always")
		problems = append(problems, s.problems...)
	}
	slices.Sort(problems)
	return problems, nil
}
