package kmq

import (
	"context"
	"html"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
)

// Beacon returns an img element that sends a record when the picture is loaded:
// for an e-mail, where no script runs. The picture is one transparent pixel.
//
//	opened := kissmetrics.NewEvent("user-1", "Viewed E-mail", time.Time{}, kissmetrics.Text("Campaign", "spring"))
//	picture, err := kmq.Beacon(opened, kissmetrics.WithAPIKey(apiKey))
//
// The Time of the record is not sent, since it would be that of the writing:
// Kissmetrics takes the time at which it is asked for the picture
// (https://support.kissmetrics.io/reference/api-specifications-1, _t). Openings
// in one second are one event. No document says whether all openings within a
// few minutes count.
//
// What it counts is pictures loaded, not mails read
// (https://support.kissmetrics.io/docs/tracking-email). Many programs load none
// until the reader says so. Some services load all of them when the mail
// arrives (Apple's Mail Privacy Protection, scanners for malware), and some once
// for all openings (Gmail's cache). A forwarded mail counts for its first
// recipient. Whoever has the mail can read the identity and the API key in it.
//
// The options are those of [kissmetrics.NewHTTPSender]: WithAPIKey is required,
// WithBaseURL may be given. The error is that of NewHTTPSender, or a
// [*kissmetrics.ValidationError]: of the record's validation, for an alias, which
// a scanner must not be able to make, and for a record whose query is longer
// than 2,048 bytes, which not every program would load.
func Beacon(record kissmetrics.Record, options ...kissmetrics.HTTPOption) (template.HTML, error) {
	address, err := BeaconURL(record, options...)
	if err != nil {
		return "", err
	}
	return template.HTML(`<img src="` + html.EscapeString(address) + `" alt="" width="1" height="1">`), nil //nolint:gosec // escaped
}

// BeaconURL returns the URL of the picture of a [Beacon]: what a
// [kissmetrics.HTTPSender] would request, without the time.
func BeaconURL(record kissmetrics.Record, options ...kissmetrics.HTTPOption) (string, error) {
	if record.Kind == kissmetrics.KindAlias {
		return "", &kissmetrics.ValidationError{Field: "type", Reason: "an alias cannot be a beacon"}
	}
	record.Time = someTime
	var request *http.Request
	sender, err := kissmetrics.NewHTTPSender(append(slices.Clip(options),
		kissmetrics.WithDoer(kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			request = r // and nothing is sent
			return &http.Response{StatusCode: http.StatusOK}, nil
		})))...)
	if err != nil {
		return "", err
	}
	if err := sender.Send(context.Background(), []kissmetrics.Record{record}); err != nil {
		return "", err
	}
	if request.Method != http.MethodGet {
		return "", &kissmetrics.ValidationError{Field: "property", Reason: "the query of a beacon has more than 2048 bytes"}
	}
	query, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return "", err
	}
	query.Del("_t")
	query.Del("_d")
	// A space is %20, for some proxies and mail programs escape a plus again.
	request.URL.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return request.URL.String(), nil
}
