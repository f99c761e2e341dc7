package kmq

import (
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/kissmetrics-go/kissmetrics"
)

// Hosts are the hosts that Kissmetrics' scripts send to, as sources of a
// Content-Security-Policy; see [Snippet]. Today's script tracks to
// trc.kissmetrics.io (kissmetrics/km-installer). Older ones track to
// kissmetrics.com.
const Hosts = "https://*.kissmetrics.io https://*.kissmetrics.com"

// The hosts that today's scripts are loaded from, by kissmetrics/km-installer.
const (
	commonURL  = "https://i.kissmetrics.io"
	productURL = "https://scripts.kissmetrics.io"
)

// SnippetOptions say what [Snippet] loads.
type SnippetOptions struct {
	// APIKey is that of the Kissmetrics product, and required.
	APIKey string
	// Nonce is the nonce of the page's Content-Security-Policy; see [Script].
	Nonce string
	// CommonURL is where i.js is loaded from, the script that all products share.
	// The default is https://i.kissmetrics.io. It is an http or https URL, or an
	// absolute path of the page's own host, such as "/kissmetrics".
	CommonURL string
	// ProductURL is where <API key>.2.js is loaded from, the script of the
	// product. The default is https://scripts.kissmetrics.io. It has the form of
	// CommonURL.
	ProductURL string
}

// Snippet returns the elements that load Kissmetrics' scripts. A page has them
// once, at the end of its head or anywhere below; the page does not wait for
// them. Commands may stand before and after.
//
// The scripts and their hosts are those of Kissmetrics' own snippet, in
// kissmetrics/km-installer. That snippet leaves the scheme to the page. This one
// does not, for over plain http anybody on the way could put a script into the
// page.
//
// A Content-Security-Policy needs these sources beside the page's own.
// 'strict-dynamic' lets the scripts load what they need in turn; they send by
// pictures or by requests, to one of [Hosts]:
//
//	script-src 'nonce-…' 'strict-dynamic';
//	img-src https://*.kissmetrics.io https://*.kissmetrics.com;
//	connect-src https://*.kissmetrics.io https://*.kissmetrics.com
//
// A page that runs RudderStack's SDK with Kissmetrics in device mode gets
// Kissmetrics' scripts from there. Use [Script] alone on it. Both snippets keep
// an API key that is there already (_kmk), so with a Snippet of another product,
// RudderStack's events would go to that product too (rudderlabs/rudder-sdk-js,
// nativeSdkLoader.js).
//
// The error joins one line for every option that is wrong, each wrapping
// [kissmetrics.ErrInvalidOption].
func Snippet(options SnippetOptions) (template.HTML, error) {
	nonce, err := nonceAttribute(options.Nonce)
	common, commonErr := scriptURL("CommonURL", options.CommonURL, commonURL)
	product, productErr := scriptURL("ProductURL", options.ProductURL, productURL)
	if err := errors.Join(keyError(options.APIKey), err, commonErr, productErr); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<script%s>var _kmq=_kmq||[],_kmk=_kmk||%s;</script>\n", nonce, appendText(nil, options.APIKey))
	for _, src := range []string{common + "/i.js", product + "/" + url.PathEscape(options.APIKey) + ".2.js"} {
		fmt.Fprintf(&b, "<script%s async src=\"%s\"></script>\n", nonce, html.EscapeString(src))
	}
	return template.HTML(b.String()), nil //nolint:gosec // every part is checked or escaped above
}

func keyError(key string) error {
	switch {
	case key == "":
		return invalid("APIKey is required and must not be empty")
	case strings.ContainsFunc(key, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}):
		return invalid("APIKey holds white space, control characters or invalid UTF-8")
	}
	return nil
}

// Script returns a script element that puts commands into the queue of its
// page, and nothing where there are none. It may stand before or after the
// [Snippet], and there may be several.
//
// Nothing that a command holds can end the script or become part of its code.
// There is no inline event handler, so that a strict Content-Security-Policy is
// met by a nonce, which the header and the elements of one response share:
//
//	nonce := rand.Text() // of crypto/rand
//	w.Header().Set("Content-Security-Policy", "script-src 'nonce-"+nonce+"' 'strict-dynamic'; …")
//
// Without a nonce there is no such attribute. A nonce has the characters of
// base64 only; the error of another wraps [kissmetrics.ErrInvalidOption]. Any
// other error is that of [Command.Validate].
//
// A page that holds what is known of its visitor must not be kept by a cache
// that others share.
func Script(nonce string, commands ...Command) (template.HTML, error) {
	attribute, err := nonceAttribute(nonce)
	if err != nil || len(commands) == 0 {
		return "", err
	}
	script := []byte("<script" + attribute + ">var _kmq=_kmq||[];\n")
	for _, c := range commands {
		// One at a time, for the queue of a script that has loaded is no array.
		script = append(script, "_kmq.push("...)
		if script, err = c.appendTo(script, true); err != nil {
			return "", err
		}
		script = append(script, ");\n"...)
	}
	return template.HTML(append(script, "</script>\n"...)), nil //nolint:gosec // appendText escapes what is not ours
}

// nonces have the form of https://www.w3.org/TR/CSP3/#grammardef-base64-value.
var nonces = regexp.MustCompile(`^[A-Za-z0-9+/_-]+={0,2}$`)

func nonceAttribute(nonce string) (string, error) {
	switch {
	case nonce == "":
		return "", nil
	case !nonces.MatchString(nonce):
		return "", invalid("the nonce is not one of a Content-Security-Policy")
	}
	return ` nonce="` + nonce + `"`, nil
}

// scriptURL returns the URL of an option, or the default where it is not set,
// without a slash at its end.
func scriptURL(option, value, standard string) (string, error) {
	if value == "" {
		return standard, nil
	}
	if problem := scriptURLProblem(value); problem != "" {
		return "", invalid(option + ": " + problem)
	}
	return strings.TrimSuffix(value, "/"), nil
}

// scriptURLProblem says what is wrong with a URL to load scripts from, without
// quoting what may hold a password.
func scriptURLProblem(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.ContainsAny(s, `\ `): // a browser takes \ for /
		return "not a URL"
	case strings.ContainsAny(s, "?#"):
		return "a query or fragment is not allowed"
	case u.User != nil:
		return "a user or password is not allowed"
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//"):
		return ""
	case u.Scheme != "http" && u.Scheme != "https":
		return "the scheme must be http or https"
	case u.Hostname() == "":
		return "there is no host"
	}
	return ""
}

func invalid(problem string) error {
	return fmt.Errorf("%w: %s", kissmetrics.ErrInvalidOption, problem)
}
