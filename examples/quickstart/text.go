package main

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	demoIntro = `Five messages to Kissmetrics, or rather to a tracking server inside this program that
behaves as Kissmetrics is documented to. Nothing leaves this machine.
`
	liveIntro = `Five messages to %s, each with the records that it becomes.
Each record is one request.
`
	liveOutro = `
Every request was answered with success. That only means that it arrived: Kissmetrics
answers 200 to everything, and silently drops what it cannot use. This is why the library
checks every message before it sends anything.

Look for the person %s in your product.
`
	legend = `
  _k  the API key                 _t  the time, in Unix seconds
  _p  the person                  _d  1: use _t, not the time of arrival
  _n  the event; in an alias, the other identity
`
	masked = "****" // what is shown for the API key
	stamp  = "2006-01-02 15:04:05 MST"
)

// A request is the part of a request or record that is shown.
type request struct {
	head   string
	params url.Values
}

func fromServer(arrived []kissmetricstest.Request) []request {
	var requests []request
	for _, r := range arrived {
		requests = append(requests, request{r.Method + " " + r.Path, r.Params})
	}
	return requests
}

func fromRecords(records []kissmetrics.Record) []request {
	var requests []request
	for _, r := range records {
		params := r.Values()
		params.Set("_k", masked) // a record holds no key, but its request does
		requests = append(requests, request{r.Kind.Path() + " (" + r.Kind.String() + ")", params})
	}
	return requests
}

// text returns the request with one parameter a line: first those of the protocol,
// then the properties.
func (r request) text() string {
	protocol := []string{"_k", "_p", "_n", "_t", "_d"}
	isProperty := func(name string) bool { return !slices.Contains(protocol, name) }
	var rows [][]string
	for _, name := range protocol {
		if r.params.Has(name) {
			rows = append(rows, []string{name, protocolValue(name, r.params.Get(name))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.params)) {
		if isProperty(name) {
			rows = append(rows, []string{name, r.params.Get(name)})
		}
	}
	return r.head + "\n" + indent(table(rows))
}

// protocolValue returns the value of a parameter as it is shown: a time also in
// readable form, the API key not at all.
func protocolValue(name, value string) string {
	switch name {
	case "_k":
		return masked
	case "_t":
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
			return value + " = " + time.Unix(seconds, 0).UTC().Format(stamp)
		}
	}
	return value
}

// callText returns the call that sends a message, much as a program would write it.
// Each method has the name of its message's type.
func callText(message kissmetrics.Message) string {
	v := reflect.ValueOf(message)
	name := v.Type().Name()
	var b strings.Builder
	fmt.Fprintf(&b, "client.%s(ctx, kissmetrics.%s{\n", name, name)
	for field, value := range v.Fields() {
		if !value.IsZero() {
			b.WriteString(indent(field.Name + ": " + fieldText(value.Interface()) + ",\n"))
		}
	}
	b.WriteString("})\n")
	return b.String()
}

// fieldText returns a field of a message; properties have one line each.
func fieldText(v any) string {
	properties, ok := v.(kissmetrics.Properties)
	if !ok {
		return valueText(v)
	}
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		b.WriteString(indent(strconv.Quote(name) + ": " + valueText(properties[name]) + ",\n"))
	}
	b.WriteString("}")
	return b.String()
}

// valueText returns a value on one line, or a list with one line for each element.
func valueText(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(stamp)
	case kissmetrics.Properties:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, strconv.Quote(name)+": "+valueText(v[name]))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case []kissmetrics.Properties:
		var b strings.Builder
		b.WriteString("{\n")
		for _, element := range v {
			b.WriteString(indent(valueText(element) + ",\n"))
		}
		b.WriteString("}")
		return b.String()
	}
	return fmt.Sprintf("%#v", v)
}

// knowledge returns what the server knows about a person, with the history of the
// given properties of products.
func knowledge(server *kissmetricstest.Server, person string, ofProducts ...string) string {
	var b strings.Builder
	section := func(title, text string) { b.WriteString("\n" + indent(title+"\n"+indent(text))) }
	b.WriteString("\nWhat Kissmetrics now knows about " + person + "\n")
	section("Identities", strings.Join(server.Identities(person), "\n")+"\n")
	section("Events", eventsText(server.Events(person)))
	section("Properties, the latest values", pairs(server.Properties(person)))
	section("The properties of the products, over time", historyText(server, person, ofProducts...))
	section("Billing amounts, over time", historyText(server, person, "Billing Amount"))
	b.WriteString("\nignored: " + ignoredText(server.Ignored()) + "\n")
	return b.String()
}

func eventsText(events []kissmetricstest.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.Time.Format(stamp) + "  " + e.Name + "\n" + indent(pairs(e.Properties)))
	}
	return b.String()
}

// historyText returns a line for each property, with all values that it has had.
func historyText(server *kissmetricstest.Server, person string, properties ...string) string {
	var rows [][]string
	for _, name := range properties {
		row := []string{name}
		for _, v := range server.History(person, name) {
			row = append(row, v.Time.Format(time.TimeOnly)+" "+v.Value)
		}
		rows = append(rows, row)
	}
	return table(rows)
}

func ignoredText(ignored []kissmetricstest.Ignored) string {
	if len(ignored) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for _, i := range ignored {
		what := i.Request.Path
		if i.Property != "" {
			what += ", property " + strconv.Quote(i.Property)
		}
		fmt.Fprintf(&b, "\n  %s: %s", what, i.Reason)
	}
	return b.String()
}

// pairs returns names and values, sorted by name.
func pairs(m map[string]string) string {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, []string{name, m[name]})
	}
	return table(rows)
}

// table returns rows with aligned cells.
func table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		// No tab after the last cell, or it would be padded with spaces.
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // writing to a strings.Builder never fails
	return b.String()
}

func heading(number int, why string) string {
	return fmt.Sprintf("\n%d. %s\n\n", number, strings.ReplaceAll(why, "\n", "\n   "))
}

// indent indents every line of a text.
func indent(text string) string {
	const margin = "    "
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(margin)
		}
		b.WriteString(line)
	}
	return b.String()
}
