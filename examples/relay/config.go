package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// config is what the environment says.
type config struct {
	demo            bool // there is no API key
	apiKey          string
	baseURL         string
	address         string
	writeKeys       []string
	origins         []string
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
		undelivered: cmp.Or(getenv("RELAY_UNDELIVERED"), "relay-undelivered.jsonl"),
	}
	c.demo = c.apiKey == ""
	if c.demo {
		c.undelivered = "" // it holds what is for the real server
		c.address = cmp.Or(c.address, "127.0.0.1:0")
		if len(c.writeKeys) == 0 {
			c.writeKeys = []string{"demo"}
		}
	}
	c.address = cmp.Or(c.address, ":8080")
	if len(c.writeKeys) == 0 {
		return c, errors.New("RELAY_WRITE_KEYS is empty: it says which keys the SDKs may use")
	}
	var err error
	c.shutdownTimeout, err = time.ParseDuration(cmp.Or(getenv("RELAY_SHUTDOWN_TIMEOUT"), "20s"))
	if err != nil || c.shutdownTimeout <= 0 {
		return c, fmt.Errorf("RELAY_SHUTDOWN_TIMEOUT is not a time such as 20s")
	}
	return c, nil
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
