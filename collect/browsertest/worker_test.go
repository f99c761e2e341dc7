package browsertest

import (
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
)

// RudderStack's SDK for service workers, in a service worker: it keeps its queue in
// memory only, and sends batches, the first event alone.
func TestServiceWorker(t *testing.T) {
	t.Parallel()
	site := newSite(t, sdk{page: "worker.html"}, map[string]error{
		"Product Viewed":  &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable},
		"Order Completed": kissmetrics.ErrQueueFull,
	})
	page := newVisitor(t).open(t, site.url)
	page.run(t, `started.then(() => {
		tell("page", {anonymousId: "v-1", category: "Shop", name: "Pricing", properties: {category: "Shop"}});
		tell("track", {anonymousId: "v-1", event: "Product Viewed", properties: {sku: "MUG-1", price: 6.25}});
		tell("alias", {userId: "ada", previousId: "v-1"});
		tell("identify", {userId: "ada", traits: {email: "ada@example.com", address: {city: "London"}}});
		tell("group", {userId: "ada", groupId: "g-1", traits: {name: "Engines"}});
		tell("track", {userId: "ada", event: "Order Completed", properties: {order_id: "o-17", revenue: 25.5,
			products: [{sku: "MUG-1", price: 6.25}, {sku: "TEE-4", price: 7.5}]}});
		tell("track", {anonymousId: "v-2", event: "Product Wished", properties: {sku: "TEE-4"}});
	})`)
	site.check(t, outcome)
}
