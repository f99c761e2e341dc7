package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// FuzzDifferences compares with a reconciler that looks at every record for every
// record. Each record that is sent has a number of its own, so that there is one
// answer.
func FuzzDifferences(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(seed*seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		g := &generator{rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // no secret
		sent, exported := g.sides(int(n) % 1000)
		want := naive(sent, exported)
		for _, memory := range []int64{1 << 20, 256 << 20} {
			differences, _ := compare(t, sequence(sent), sequence(exported), reconcile.WithMemory(memory))
			got := map[string]int{}
			for _, d := range differences {
				got[fmt.Sprint(d.Kind, "|", d.Changes, "|", d.Rows, "|", number(d.Sent))]++
			}
			assert.Equal(t, want, got)
		}
	})
}

// A generator makes records, and what a bad day makes of them.
type generator struct{ *rand.Rand }

func (g *generator) one(in int) bool { return g.IntN(in) == 0 }

func (g *generator) sides(n int) (sent, exported []kissmetrics.Record) {
	for i := range 5 { // person i is also known as alias i
		alias := kissmetrics.NewAlias(fmt.Sprint("Alias ", i), fmt.Sprint("Person ", i), at(0))
		sent, exported = append(sent, alias), append(exported, alias)
	}
	for i := range n {
		who := "Person"
		if g.one(3) {
			who = "Alias"
		}
		r := kissmetrics.NewEvent(fmt.Sprint(who, " ", g.IntN(10)), fmt.Sprint("Event ", g.IntN(2)), at(g.IntN(20)),
			kissmetrics.Number("Number", i), kissmetrics.Text("Other", strconv.Itoa(i)+strings.Repeat("é", 500+g.IntN(30))))
		for range 1 + g.IntN(3)/2 {
			sent = append(sent, r)
		}
		exported = append(exported, g.fate(r)...)
	}
	g.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	g.Shuffle(len(exported), func(i, j int) { exported[i], exported[j] = exported[j], exported[i] })
	return sent, exported
}

// fate returns the rows that a record becomes.
func (g *generator) fate(r kissmetrics.Record) []kissmetrics.Record {
	r.Person, r.Name = strings.ToLower(r.Person), strings.ToLower(r.Name)
	other := r.Properties[1].Value
	cut := []kissmetrics.Property{{Name: "number", Value: r.Properties[0].Value}, {Name: "other", Value: firstChars(other, 512)}}
	switch g.IntN(10) {
	case 0:
		return nil
	case 1:
		return []kissmetrics.Record{r, r}
	case 2:
		r.Properties = r.Properties[:1] // it loses a value
	case 3:
		r.Properties = cut
	case 4, 5:
		if g.one(2) {
			r.Properties = cut
		}
		if g.one(2) {
			r.Time = r.Time.Add(time.Duration(g.IntN(100_000)-50_000) * time.Second)
		}
		if g.one(2) {
			kind, number, _ := strings.Cut(r.Person, " ")
			r.Person = map[string]string{"person": "alias ", "alias": "person "}[kind] + number
		}
	}
	return []kissmetrics.Record{r}
}

func firstChars(s string, n int) string {
	runes := []rune(s)
	return string(runes[:min(n, len(runes))])
}

// naive returns how many differences there are of each kind and record.
func naive(sent, exported []kissmetrics.Record) map[string]int {
	found, seen := map[string]int{}, map[string]bool{}
	for _, s := range sent {
		n := number(s)
		if s.Kind == kissmetrics.KindAlias || seen[n] {
			continue
		}
		seen[n] = true
		var rows []kissmetrics.Record
		sameMoment := false
		for _, e := range exported {
			if number(e) == n && canBe(s, e) {
				rows = append(rows, e)
			}
			sameMoment = sameMoment || strings.EqualFold(e.Person, s.Person) && strings.EqualFold(e.Name, s.Name) && e.Time.Equal(s.Time)
		}
		kind, changes, times := reconcile.Missing, reconcile.Change(0), 0
		switch {
		case len(rows) == 0 && sameMoment:
			kind = reconcile.Dropped
		case len(rows) == 1:
			if changes = changesOf(s, rows[0]); changes == 0 {
				continue
			}
			kind = reconcile.Altered
		case len(rows) > 1:
			kind, times = reconcile.Twice, len(rows)
		}
		found[fmt.Sprint(kind, "|", changes, "|", times, "|", n)]++
	}
	return found
}

// canBe reports whether a row of the same number can be what was sent: not where
// another person has it whom no alias joins.
func canBe(s, e kissmetrics.Record) bool {
	_, a, _ := strings.Cut(s.Person, " ")
	_, b, _ := strings.Cut(e.Person, " ")
	return strings.EqualFold(s.Person, e.Person) || a == b && a < "5"
}

// changesOf returns how a row differs.
func changesOf(s, e kissmetrics.Record) (c reconcile.Change) {
	switch {
	case len(e.Properties) < 2:
		c |= reconcile.Values
	case e.Properties[1].Value != s.Properties[1].Value:
		c |= reconcile.Cut
	}
	if !e.Time.Equal(s.Time) {
		c |= reconcile.Moved
	}
	if !strings.EqualFold(e.Person, s.Person) {
		c |= reconcile.Merged
	}
	return c
}
