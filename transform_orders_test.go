package kissmetrics_test

import (
	"database/sql"
	"encoding/json"
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestOrderTotalAsRevenue(t *testing.T) {
	track := func(event string, properties kissmetrics.Properties) kissmetrics.Track {
		return kissmetrics.Track{UserID: "u", Event: event, Properties: properties}
	}
	tests := map[string]struct {
		message kissmetrics.Track
		want    string
	}{
		"taken":                  {track("Order Completed", kissmetrics.Properties{"total": "€20.00"}), "/e|u|Order Completed|0s|Billing Amount=20|revenue=20|total=€20.00"},
		"however it is spelled":  {track("completed_order", kissmetrics.Properties{"total": 20}), "/e|u|completed_order|0s|Billing Amount=20|revenue=20|total=20"},
		"not where revenue is":   {track("Order Completed", kissmetrics.Properties{"total": 20, "revenue": 5}), "/e|u|Order Completed|0s|Billing Amount=5|revenue=5|total=20"},
		"not of another event":   {track("Order Refunded", kissmetrics.Properties{"total": 20}), "/e|u|Order Refunded|0s|total=20"},
		"not what is no amount":  {track("Order Completed", kissmetrics.Properties{"total": "much"}), "/e|u|Order Completed|0s|total=much"},
		"where revenue is blank": {track("Order Completed", kissmetrics.Properties{"total": 20, "revenue": " "}), "/e|u|Order Completed|0s|Billing Amount=20|revenue=20|total=20"},
		"not a list":             {track("Order Completed", kissmetrics.Properties{"total": []int{5}}), "/e|u|Order Completed|0s|total=5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{test.want}, lines(t, test.message, kissmetrics.TransformOptions{OrderTotalAsRevenue: true}))
		})
	}
	_, adjustments, err := kissmetrics.Transform(track("Order Completed", kissmetrics.Properties{"total": "1,5"}), testNow, kissmetrics.TransformOptions{OrderTotalAsRevenue: true})
	require.NoError(t, err)
	assert.Equal(t, []kissmetrics.Adjustment{{Field: "property", Property: "total", Kind: kissmetrics.AdjustedAmount}}, adjustments)
	assert.Equal(t, []string{"/e|u|Order Completed|0s|total=20"},
		lines(t, track("Order Completed", kissmetrics.Properties{"total": 20}), kissmetrics.TransformOptions{}), "off by default")
}

// A name with a dot of its own is that of another property.
func TestWhatOnlyBeginsLikeRevenueIsNone(t *testing.T) {
	for name, want := range map[string]int{"revenue": 1, "revenues": 0} {
		_, adjustments, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
			name: map[string]any{"currency": "EUR"}, "revenue.currency": "EUR",
		}}, testNow, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		assert.Len(t, adjustments, want, "%s: %v", name, adjustments)
	}
}

func TestRevenue(t *testing.T) {
	tests := []struct {
		revenue any
		amount  string // empty: no Billing Amount
	}{
		{25, "25"}, {25.0, "25"}, {100, "100"}, {"25", "25"}, {" 25.50 ", "25.5"}, {"$25", "25"}, {"-$25", "-25"}, {"$-25", "-25"}, {"- $ 25", "-25"},
		{"£1,234,567.00", "1234567"}, {"12.50 EUR", "12.5"}, {"USD 12", "12"}, {"12 €", "12"}, {"0.00", "0"}, {"-0", "0"},
		{json.Number("1.50"), "1.5"}, {json.Number("-0"), "0"}, {".5", "0.5"}, {"007", "7"}, {true, ""}, {"", ""}, {"$", ""}, {"EUR", ""}, {"12,34", ""}, {",123", ""}, {"1,2345", ""},
		{"1e3", "1000"}, {"1.", "1"}, {"+5", "5"}, {"US$12.00", "12"}, {"(12.50)", "-12.5"}, {"₹1,23,456.00", "123456"}, {"\u221212", "-12"},
		{1.234, "1.234"}, {json.Number("1.234"), "1.234"}, {big.NewFloat(2e6), "2000000"}, {big.NewRat(5, 2), "2.5"}, {sql.NullFloat64{Float64: 9.5, Valid: true}, "9.5"},
		{"1.234", ""}, {"1.234,50", ""}, {"12%", ""}, {"12¢", ""}, {"1.2.3", ""}, {"--5", ""}, {"0x10", ""}, {"NaN", ""}, {"five", ""}, {[]int{5}, ""}, {[]int{5, 300}, ""},
		{map[string]any{"amount": 5}, ""},
	}
	for _, test := range tests {
		for _, strict := range []bool{false, true} {
			records, adjustments, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"revenue": test.revenue}}, testNow,
				kissmetrics.TransformOptions{Strict: strict})
			require.NoError(t, err)
			values := records[0].Values()
			assert.Equal(t, test.amount, values.Get("Billing Amount"), "%#v", test.revenue)
			if test.amount != "" {
				assert.Equal(t, test.amount, values.Get("revenue"), "%#v", test.revenue)
			}
			if test.amount != "" || test.revenue == "" {
				assert.Empty(t, adjustments)
			} else {
				assert.Equal(t, []kissmetrics.Adjustment{{Field: "property", Property: "revenue", Kind: kissmetrics.AdjustedAmount}}, adjustments, "%#v", test.revenue)
			}
		}
	}
}

// TestBillingAmount: one that is given wins, unless it is blank.
func TestBillingAmount(t *testing.T) {
	for name, test := range map[string]struct {
		properties kissmetrics.Properties
		want       string
	}{
		"given beside revenue":         {kissmetrics.Properties{"revenue": 25, "Billing Amount": 30}, "Billing Amount=30|revenue=25"},
		"given beside what is no one":  {kissmetrics.Properties{"revenue": "abc", "billing amount": 30}, "billing amount=30|revenue=abc"},
		"blank beside revenue":         {kissmetrics.Properties{"revenue": 25, "Billing Amount": " "}, "Billing Amount=25|revenue=25"},
		"blank in other letters":       {kissmetrics.Properties{"revenue": 25, "BILLING AMOUNT": ""}, "BILLING AMOUNT=25|revenue=25"},
		"nil beside revenue":           {kissmetrics.Properties{"revenue": 25, "Billing Amount": nil}, "Billing Amount=25|revenue=25"},
		"blank beside a blank revenue": {kissmetrics.Properties{"revenue": "", "Billing Amount": ""}, "Billing Amount=|revenue="},
	} {
		t.Run(name, func(t *testing.T) {
			message := kissmetrics.Track{UserID: "u", Event: "e", Properties: test.properties}
			assert.Equal(t, []string{"/e|u|e|0s|" + test.want}, lines(t, message, kissmetrics.TransformOptions{}))
		})
	}
}

func TestProducts(t *testing.T) {
	type product struct {
		SKU   string  `json:"sku"`
		Price float64 `json:"price"`
	}
	a, b := product{"a", 1.5}, product{"b", 2}
	two := []string{"/e|u|e|0s", "/s|u||1s|price=1.5|sku=a", "/s|u||2s|price=2|sku=b"}
	tests := map[string]struct {
		products any
		want     []string
	}{
		"structs":             {[]product{a, b}, two},
		"pointers":            {[]*product{&a, nil, &b}, two},
		"a pointer to a list": {&[]any{a, nil, &b}, two},
		"an array":            {[2]product{a, b}, two},
		"one that is empty":   {[]any{a, map[string]any{}, map[string]any{"x": nil}, b}, two},
		"nil":                 {nil, []string{"/e|u|e|0s"}},
		"a nil list":          {[]product(nil), []string{"/e|u|e|0s"}},
		"an empty list":       {[]product{}, []string{"/e|u|e|0s"}},
		"an object":           {a, []string{"/e|u|e|0s|products.price=1.5|products.sku=a"}},
		"objects and others":  {[]any{a, 7}, []string{"/e|u|e|0s|products.0.price=1.5|products.0.sku=a|products.1=7"}},
		"nil alone":           {[]any{nil, nil}, []string{"/e|u|e|0s|products=,"}},
		"a text":              {"none", []string{"/e|u|e|0s|products=none"}},
		"texts of their own":  {[]textValue{{1, 2}, {3, 4}}, []string{"/e|u|e|0s|products=1/2,3/4"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, lines(t, kissmetrics.Track{
				UserID: "u", Event: "e", Properties: kissmetrics.Properties{"products": test.products},
			}, kissmetrics.TransformOptions{}))
		})
	}
	for name, products := range map[string]any{
		"a wrong value":         []any{a, map[string]any{"x": make(chan int)}},
		"a wrong name":          []any{a, map[string]any{" ": 1}},
		"names that are one":    []any{map[string]any{"A": 1, "a": 2}},
		"keys that are no text": []any{map[int]int{1: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			message := kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"products": products}}
			records, adjustments, err := kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{})
			require.NoError(t, err)
			require.Len(t, adjustments, 1)
			assert.Contains(t, adjustments[0].Property, "products.")
			for _, r := range records {
				require.NoError(t, r.Validate())
			}
			records, _, err = kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{Strict: true})
			requireField(t, "property", err)
			assert.Empty(t, records)
		})
	}
}

// TestProductsShareNothing: neither the names of the event nor those of another
// product have a part in what becomes of a product.
func TestProductsShareNothing(t *testing.T) {
	wide, other := make(map[string]any), make(map[string]any)
	for i := range 20 {
		wide[strconv.Itoa(i)], other[strconv.Itoa(i)] = i, i+100
	}
	nested := map[string]any{"a": map[string]any{"b": map[string]any{"c": 1}}}
	for range 20 { // whatever the order of the maps' iteration
		records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
			"nested": nested, "products": []any{wide, other, map[string]any{"a.b.c": 2, "a.b": map[string]any{"c": 1}}},
		}}, testNow, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		require.Len(t, records, 4)
		for i := range 20 {
			name := strconv.Itoa(i)
			require.Equal(t, name, records[1].Values().Get(name))
			require.Equal(t, strconv.Itoa(i+100), records[2].Values().Get(name))
		}
		require.Equal(t, []kissmetrics.Property{{Name: "a.b.c", Value: "2", Literal: true}}, records[3].Properties)
	}
}

// TestOneBillingAmountCounts: of several that are one name, that which stays is
// the one that revenue may fill, in whatever order a map is read.
func TestOneBillingAmountCounts(t *testing.T) {
	message := kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"revenue": 5, "Billing Amount": "", "billing amount": 7}}
	for range 100 {
		records, adjustments, err := kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		require.Equal(t, []kissmetrics.Property{kissmetrics.Number("Billing Amount", 5), kissmetrics.Number("revenue", 5)}, records[0].Properties)
		require.Equal(t, []kissmetrics.Adjustment{{Field: "property", Property: "billing amount", Kind: kissmetrics.AdjustedClash}}, adjustments)
	}
}
