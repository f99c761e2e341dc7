package sdktest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ script, pkg, encoding string }{
		"Segment":                      {"modern.js", "@segment/analytics-node", ""},
		"Segment, version 1":           {"modern.js", "segment-analytics-node-1", ""},
		"Customer.io":                  {"modern.js", "@customerio/cdp-analytics-node", ""},
		"RudderStack":                  {"classic.js", "@rudderstack/rudder-sdk-node", ""},
		"RudderStack, gzip":            {"classic.js", "@rudderstack/rudder-sdk-node", "gzip"},
		"RudderStack, version 2":       {"classic.js", "rudder-sdk-node-2", ""},
		"RudderStack, version 2, gzip": {"classic.js", "rudder-sdk-node-2", "gzip"},
		"Segment, analytics-node":      {"classic.js", "analytics-node", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			node(t, test.script, test.pkg, s.URL, writeKey, test.encoding)
			s.check(t)
			s.mu.Lock()
			defer s.mu.Unlock()
			assert.Equal(t, map[string]bool{test.encoding: true}, s.encoding)
		})
	}
}

// TestWrongWriteKey is what an SDK makes of a key that is not ours: it gives up
// and says so, rather than try for ever.
func TestWrongWriteKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	npm(t)
	command := exec.CommandContext(t.Context(), "node", "classic.js", "@rudderstack/rudder-sdk-node", s.URL, "wrong", "gzip")
	command.Dir = "node"
	output, err := command.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(output), "Unauthorized")
	assert.Empty(t, s.tracking.Requests())
	assert.NotContains(t, s.statuses, http.StatusOK)
}

// node runs a script to its end.
func node(t *testing.T, script string, args ...string) {
	t.Helper()
	npm(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	command.Dir = "node"
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s: %s", script, output)
}

// install installs the SDKs that node/package-lock.json names, once for all tests.
var install = sync.OnceValue(func() error {
	want, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		return err
	}
	if got, err := os.ReadFile("node/node_modules/.of"); err == nil && string(got) == string(want) {
		return nil
	}
	command := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = "node"
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, output)
	}
	return os.WriteFile("node/node_modules/.of", want, 0o600)
})

func npm(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("needs npm, and Node.js 20: install Debian's package npm, or see https://nodejs.org")
	}
	require.NoError(t, install())
}

// The table in SDKS.md is of the versions that are driven here.
func TestTableIsOfTheseVersions(t *testing.T) {
	table, err := os.ReadFile("../SDKS.md")
	require.NoError(t, err)
	var pinned struct{ Dependencies map[string]string }
	text, err := os.ReadFile("node/package.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &pinned))
	require.NotEmpty(t, pinned.Dependencies)
	for name, version := range pinned.Dependencies {
		version = version[strings.LastIndex(version, "@")+1:] // where it has another name
		assert.Contains(t, string(table), version, name)
	}
}
