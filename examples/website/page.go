package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

// pages returns the templates by name, each with the layout and the panels.
func pages() (map[string]*template.Template, error) {
	all := make(map[string]*template.Template)
	for _, name := range []string{"home", "product", "order", "form", "mail", "known", "problem"} {
		t, err := template.ParseFS(files, "templates/layout.html", "templates/panel.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		all[name] = t
	}
	return all, nil
}

// A page is what is written to a browser, and what it tells Kissmetrics.
type page struct {
	status   int
	template string
	view     view
	messages []kissmetrics.Message
	commands []kmq.Command // after those of the messages
}

// A view is what a page shows.
type view struct {
	Title, Text     string
	Products        []product
	Product         product
	Order           order
	Action, Email   string // of a form
	BeaconText      string
	User            *user
	Pushed          []string
	Known           *knowledge
	Script, Snippet template.HTML
	Beacon          template.HTML
	Nonce           string
}

func newPage(status int, name string, v view) page {
	return page{status: status, template: name, view: v}
}

// render writes a page.
func (s *shop) render(w http.ResponseWriter, r *http.Request, p page) {
	v := &p.view
	u := s.session(r).user
	if u != (user{}) {
		v.User = &u
	}
	v.Known = s.knowledge(r)
	v.Nonce = rand.Text()
	html, err := s.html(p, u, kmq.FromContext(r.Context()))
	if err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+v.Nonce+"'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	writeHTML(w, p.status, html)
}

// html returns the text of a page.
func (s *shop) html(p page, u user, visitor kmq.Visitor) (string, error) {
	pushed, err := commands(u, visitor, p.messages)
	if err != nil {
		return "", err
	}
	v := &p.view
	for _, command := range append(pushed, p.commands...) {
		text, err := json.MarshalIndent(command, "", "")
		if err != nil {
			return "", err
		}
		v.Pushed = append(v.Pushed, strings.ReplaceAll(string(text), "\n", " "))
	}
	if v.Script, err = kmq.Script(v.Nonce, append(pushed, p.commands...)...); err != nil {
		return "", err
	}
	v.Snippet, err = kmq.Snippet(kmq.SnippetOptions{APIKey: apiKey, Nonce: v.Nonce, CommonURL: "/kissmetrics", ProductURL: "/kissmetrics"})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = s.pages[p.template].ExecuteTemplate(&b, "layout.html", v)
	return b.String(), err
}

func writeHTML(w http.ResponseWriter, status int, html string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // it is of one visitor
	w.WriteHeader(status)
	_, _ = w.Write([]byte(html))
}

func (s *shop) known(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, newPage(http.StatusOK, "known", view{Title: "What Kissmetrics knows"}))
}

// panel writes what Kissmetrics knows by now, for static/live.js to show.
func (s *shop) panel(w http.ResponseWriter, r *http.Request) {
	part := r.PathValue("part")
	if part != "latest" && part != "all" {
		s.notFound(w, r)
		return
	}
	var b strings.Builder
	if err := s.pages["known"].ExecuteTemplate(&b, part, s.knowledge(r)); err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	writeHTML(w, http.StatusOK, b.String())
}

// knowledge is what Kissmetrics knows of a person, and from whom.
type knowledge struct {
	Identities []string
	Said       []saying
}

// knowledge returns what is known of the visitor, or nil. For the shop, the
// visitor is its user. Of one who has logged out, whom the page's script still
// takes for the user, nothing is shown.
func (s *shop) knowledge(r *http.Request) *knowledge {
	person, visitor := s.session(r).user.ID, kmq.FromContext(r.Context())
	if person == "" && visitor.UserID == "" {
		person = visitor.AnonymousID
	}
	if person == "" {
		return nil
	}
	identities := s.tracking.Identities(person)
	k := &knowledge{identities, s.ear.of(identities)}
	if len(k.Said) == 0 {
		return nil
	}
	return k
}

// Latest returns up to n sayings, the latest first.
func (k *knowledge) Latest(n int) []saying {
	latest := slices.Clone(k.Said)
	slices.Reverse(latest)
	return latest[:min(n, len(latest))]
}

// Events returns the events, the latest first.
func (k *knowledge) Events() []saying {
	return slices.DeleteFunc(k.Latest(len(k.Said)), func(s saying) bool { return s.Path != "e" })
}

// Products returns the products of orders, each of which is set at a second of
// its own, the latest first.
func (k *knowledge) Products() []saying {
	return slices.DeleteFunc(k.Latest(len(k.Said)), func(s saying) bool { return s.Path != "s" || s.Property("sku") == "" })
}

// A history is what a property has been, the latest first.
type history struct {
	Name   string
	Values []value
}

type value struct {
	Value string
	Said  saying
}

// Properties returns all properties, by name.
func (k *knowledge) Properties() []history {
	var all []history
	for _, s := range k.Latest(len(k.Said)) {
		for _, p := range s.Properties {
			i := slices.IndexFunc(all, func(h history) bool { return h.Name == p.Name })
			if i < 0 {
				i, all = len(all), append(all, history{Name: p.Name})
			}
			all[i].Values = append(all[i].Values, value{p.Value, s})
		}
	}
	slices.SortFunc(all, func(a, b history) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Property returns the value of a property, or nothing.
func (s saying) Property(name string) string {
	i := slices.IndexFunc(s.Properties, func(p property) bool { return p.Name == name })
	if i < 0 {
		return ""
	}
	return s.Properties[i].Value
}

// What says in words what was told.
func (s saying) What() string {
	switch {
	case s.Path == "e":
		return s.Name
	case s.Path == "a":
		return s.Person + " is " + s.Name
	case s.Property("sku") != "":
		return "a product of the order"
	}
	return "about the person"
}
