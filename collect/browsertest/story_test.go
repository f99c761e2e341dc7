package browsertest

import (
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
)

// The story is what each SDK is told to send, and what becomes of it.
const (
	before = `
		analytics.page("Shop", "Pricing");
		analytics.track("Product Viewed", {sku: "MUG-1", price: 6.25});`
	alias = `analytics.alias("ada");`
	after = `
		analytics.identify("ada", {email: "ada@example.com", address: {city: "London"}});
		analytics.group("g-1", {name: "Engines"});
		analytics.track("Order Completed", {
			order_id: "o-17", revenue: 25.5,
			products: [{sku: "MUG-1", price: 6.25}, {sku: "TEE-4", price: 7.5}],
		});`
	next = `analytics.track("Product Wished", {sku: "TEE-4"});`
)

// outcome is what arrives of it.
var outcome = []string{
	"ada: event Order Completed, Billing Amount=25.5, order_id=o-17, revenue=25.5",
	"ada: properties, Group - id=g-1, Group - name=Engines",
	"ada: properties, address.city=London, email=ada@example.com",
	"ada: properties, price=6.25, sku=MUG-1",
	"ada: properties, price=7.5, sku=TEE-4",
	"somebody else: event Product Wished, sku=TEE-4",
	"visitor: alias ada",
	"visitor: event Product Viewed, price=6.25, sku=MUG-1",
	"visitor: event Viewed Shop Pricing page, category=Shop",
}

// tell has a page tell the story. An SDK adds who somebody is when it sends, so
// that each part waits for the one before.
func tell(t *testing.T, s sdk, site *site) {
	t.Helper()
	visitor := newVisitor(t)
	visitor.mayBeKept = s.blind
	page := visitor.open(t, site.url)
	page.run(t, before)
	site.await(t, "Viewed Shop Pricing page", "Product Viewed")
	page.run(t, alias)
	site.await(t, "ada")
	page.run(t, after)
	site.await(t, "Order Completed")
	page.run(t, s.reset+"; "+next)
	site.await(t, "Product Wished")
}

// What an SDK is told to send arrives, all of it and once, although 503 and 429 are
// in between.
func TestStory(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return !s.deaf }, func(t *testing.T, s sdk) {
		site := newSite(t, s, map[string]error{
			"Product Viewed":  &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable},
			"Order Completed": kissmetrics.ErrQueueFull,
		})
		tell(t, s, site)
		site.check(t, outcome)
	})
}

// The same of those that hear no answer.
func TestStoryOfTheDeaf(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return s.deaf }, func(t *testing.T, s sdk) {
		site := newSite(t, s, nil)
		tell(t, s, site)
		site.check(t, outcome)
	})
}

// They lose what is answered with 429 or 503, and nothing else. In front of a sender
// that waits, such as a queue with FullWait or a durable one, there is no such
// answer.
func TestDeafLoseWhatIsNotAccepted(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return s.deaf }, func(t *testing.T, s sdk) {
		site := newSite(t, s, map[string]error{"First": &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable}})
		page := newVisitor(t).open(t, site.url)
		page.run(t, `analytics.track("First")`)
		site.awaitFaults(t)
		page.run(t, `analytics.track("Second")`)
		site.check(t, []string{"somebody else: event Second"})
	})
}
