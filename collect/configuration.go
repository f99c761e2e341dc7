package collect

import (
	"net/http"
	"strings"
)

// configuration answers an SDK that asks how to behave, with the least with which
// it starts.
func (h *Handler) configuration(r *http.Request, e endpoint) answer {
	key := e.key
	if e.route == sourceInfo {
		key, _ = givenKey(r)
	}
	source, ok := h.sources.of(key)
	if !ok {
		return h.refuse(r, unauthorized(r))
	}
	a := answer{status: http.StatusOK}
	if e.route == sourceInfo {
		a.config = sourceConfig(source.Name, key)
	} else {
		a.config = h.settings(key)
	}
	return a
}

// sourceConfig is the configuration of a source with no destinations of its own,
// as RudderStack's SDKs read it.
func sourceConfig(name, key string) any {
	if name == "" {
		name = "collect"
	}
	return map[string]any{
		"source": map[string]any{
			"id": name, "name": name, "writeKey": key, "workspaceId": "collect", "enabled": true,
			"updatedAt":    "2026-01-01T00:00:00.000Z", // an SDK that has this one keeps it
			"config":       map[string]any{"statsCollection": map[string]any{"errors": map[string]any{"enabled": false}, "metrics": map[string]any{"enabled": false}}},
			"destinations": []any{}, "connections": []any{},
		},
	}
}

// settings are those of a project with no destination but this server, as Segment's
// SDKs read them.
func (h *Handler) settings(key string) any {
	host := h.config.publicURL.Host + strings.TrimSuffix(h.config.publicURL.Path, "/") + "/v1"
	return map[string]any{
		"integrations": map[string]any{
			"Segment.io": map[string]any{"apiKey": key, "apiHost": host, "protocol": h.config.publicURL.Scheme},
		},
		"plan":    map[string]any{},
		"metrics": map[string]any{"sampleRate": 0},
	}
}
