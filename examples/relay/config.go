package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// config is what the environment says.
type config struct {
	demo            bool // there is no API key
	apiKey          string
	baseURL         string
	address         string
	writeKeys       []string
	sources         []collect.Source
	origins         []string
	publicURL       string // empty for none
	shortPaths      bool
	prefix          bool
	password        string // of the page; empty for none
	undelivered     string // empty for none
	shutdownTimeout time.Duration
}

func configure(getenv func(string) string) (config, error) {
	c := config{
		apiKey:      getenv("KISSMETRICS_API_KEY"),
		baseURL:     cmp.Or(getenv("KISSMETRICS_BASE_URL"), kissmetrics.DefaultBaseURL),
		address:     getenv("RELAY_ADDRESS"),
		writeKeys:   list(getenv("RELAY_WRITE_KEYS")),
		origins:     list(getenv("RELAY_ORIGINS")),
		publicURL:   getenv("RELAY_PUBLIC_URL"),
		shortPaths:  getenv("RELAY_SHORT_PATHS") != "",
		prefix:      getenv("RELAY_PREFIX") != "",
		password:    getenv("RELAY_PASSWORD"),
		undelivered: cmp.Or(getenv("RELAY_UNDELIVERED"), "relay-undelivered.jsonl"),
	}
	var err error
	if c.sources, err = sources(list(getenv("RELAY_SOURCES"))); err != nil {
		return c, err
	}
	c.demo = c.apiKey == ""
	if c.demo {
		c.undelivered = "" // it holds what is for the real server
		c.address = cmp.Or(c.address, "127.0.0.1:0")
		if len(c.writeKeys)+len(c.sources) == 0 {
			c.writeKeys = []string{"demo"}
		}
	}
	c.address = cmp.Or(c.address, ":8080")
	if len(c.writeKeys)+len(c.sources) == 0 {
		return c, errors.New("RELAY_WRITE_KEYS is empty, and so is RELAY_SOURCES: they say which keys the SDKs may use")
	}
	c.shutdownTimeout, err = time.ParseDuration(cmp.Or(getenv("RELAY_SHUTDOWN_TIMEOUT"), "20s"))
	if err != nil || c.shutdownTimeout <= 0 {
		return c, fmt.Errorf("RELAY_SHUTDOWN_TIMEOUT is not a time such as 20s")
	}
	return c, nil
}

// options are what the handler is made with.
func (c *config) options() []collect.Option {
	options := []collect.Option{collect.WithOrigins(c.origins...), collect.WithTransform(c.transform())}
	if len(c.writeKeys) > 0 {
		options = append(options, collect.WithWriteKeys(c.writeKeys...))
	}
	if len(c.sources) > 0 {
		for i := range c.sources {
			c.sources[i].Transform = c.transform()
		}
		options = append(options, collect.WithSources(c.sources...))
	}
	if c.publicURL != "" {
		options = append(options, collect.WithPublicURL(c.publicURL))
	}
	if c.shortPaths {
		options = append(options, collect.WithShortPaths())
	}
	return options
}

func (c *config) transform() (o kissmetrics.TransformOptions) {
	if c.prefix {
		o.Prefix = kissmetrics.PrefixHyphen
	}
	return o
}

// sources returns the sources of a list of name=key. A name that comes again has
// another key.
func sources(pairs []string) (all []collect.Source, err error) {
	for _, pair := range pairs {
		name, key, ok := strings.Cut(pair, "=")
		if name, key = strings.TrimSpace(name), strings.TrimSpace(key); !ok || name == "" || key == "" {
			return nil, errors.New("RELAY_SOURCES is not a list of name=key")
		}
		i := slices.IndexFunc(all, func(s collect.Source) bool { return s.Name == name })
		if i < 0 {
			i, all = len(all), append(all, collect.Source{Name: name})
		}
		all[i].WriteKeys = append(all[i].WriteKeys, key)
	}
	return all, nil
}

// list returns the parts of a text that commas separate.
func list(s string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
