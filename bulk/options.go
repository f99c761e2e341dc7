package bulk

import (
	"errors"
	"log/slog"
	"math"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// Grantee is the canonical user of Kissmetrics, who has to be able to read the
// objects.
const Grantee = "6acb81d7742ac437833f51ecb2a40c74cd831ce26909e5f72354fa6af42cfb1f"

// A Bucket says where the objects go.
type Bucket struct {
	// Name is the name of the bucket. It must exist.
	Name string
	// Base is what the names of the objects begin with, as it is given to Kissmetrics:
	// letters, digits, and any of ._/- between them.
	Base string
	// Endpoint is the URL of an S3 server other than Amazon's.
	Endpoint string
	// Region is the bucket's region. If it is empty, that is AWS_REGION or
	// AWS_DEFAULT_REGION of the environment, or what the server says.
	Region string
	// PathStyle puts the bucket's name in the path of a URL, not in its host. Most
	// servers other than Amazon's need that.
	PathStyle bool
	// AccessKey, SecretKey and SessionToken are credentials. If they are empty, the
	// usual chain is asked: the environment (AWS_ACCESS_KEY_ID, …), Amazon's files
	// (~/.aws/credentials, AWS_PROFILE, …), then the role of the machine or container.
	AccessKey, SecretKey, SessionToken string
}

// An Option configures [Open].
type Option func(*config)

type config struct {
	interval       time.Duration
	maxRecords     int64
	grantee        string
	initialBackoff time.Duration
	maxBackoff     time.Duration
	requestTimeout time.Duration
	partSize       int64
	logger         *slog.Logger
	bucket         bucket               // in place of a real one
	sync           func(*os.File) error // of the file to which is appended
}

func defaults() config {
	return config{
		interval:       time.Hour,
		maxRecords:     math.MaxInt64,
		grantee:        Grantee,
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     time.Minute,
		requestTimeout: 5 * time.Minute,
		partSize:       8 << 20,
		logger:         slog.New(slog.DiscardHandler),
		sync:           (*os.File).Sync,
	}
}

// WithInterval sets how often a file is put into the bucket, an hour by default. A file
// is closed when the clock, in UTC, comes to a multiple of it. Kissmetrics imports one
// file an hour, so a shorter interval is only for other readers.
func WithInterval(interval time.Duration) Option { return func(c *config) { c.interval = interval } }

// WithMaxRecords bounds how many records wait to be in the bucket: what would exceed
// it is refused with [ErrFull]. By default the disk is the bound.
func WithMaxRecords(records int64) Option { return func(c *config) { c.maxRecords = records } }

// WithGrantee sets the canonical user to whom objects are granted, which is
// Kissmetrics' by default; see [Grantee]. With an empty id there is no grant, for
// buckets that have a policy instead of access control lists.
func WithGrantee(id string) Option { return func(c *config) { c.grantee = id } }

// WithBackoff sets the waits between attempts while uploads fail, 500 milliseconds and
// a minute by default; see [kissmetrics.WithBackoff].
func WithBackoff(initial, limit time.Duration) Option {
	return func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit }
}

// WithRequestTimeout bounds how long a request to the bucket may take, 5 minutes by
// default. A large file is uploaded in parts of at least 8 MiB, each by a request of
// its own.
func WithRequestTimeout(timeout time.Duration) Option {
	return func(c *config) { c.requestTimeout = timeout }
}

// WithLogger gives a logger for what goes wrong. It never sees anything of a record,
// nor a credential. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = safelog.Logger(logger) }
}

// configure applies options to the defaults and reports all that is wrong.
func configure(b *Bucket, options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "bulk")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	if c.interval < time.Millisecond {
		wrong.Add("WithInterval: %v is too short", c.interval)
	}
	if c.maxRecords < 1 {
		wrong.Add("WithMaxRecords: %d records leave no room", c.maxRecords)
	}
	wrong.Backoff(c.initialBackoff, c.maxBackoff)
	if c.requestTimeout <= 0 {
		wrong.Add("WithRequestTimeout: %v is not positive", c.requestTimeout)
	}
	wrong.Logger(c.logger)
	return c, errors.Join(append(b.problems(), wrong.Err())...)
}

// problems checks a bucket, and completes it.
func (b *Bucket) problems() (wrong []error) {
	if b.Name == "" {
		wrong = append(wrong, invalid("the bucket has no name"))
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`).MatchString(b.Base) || len(b.Base) > 200 {
		wrong = append(wrong, invalid("the base %q is not one of letters, digits and ._/- between them", b.Base))
	}
	if b.Endpoint == "" {
		b.Endpoint = "https://s3.amazonaws.com"
	}
	if u, err := url.Parse(b.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		wrong = append(wrong, invalid("the endpoint is not the URL of a server"))
	}
	if (b.AccessKey == "") != (b.SecretKey == "") {
		wrong = append(wrong, invalid("there is only one of access key and secret key"))
	}
	for _, variable := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if b.Region == "" {
			b.Region = os.Getenv(variable)
		}
	}
	return wrong
}
