package flatten_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

func TestJSONIsFlattenedAsItsMapIs(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `"n%d":%d,`, i, i)
	}
	for name, data := range map[string]string{
		"every kind":               `{"a":"x","b":-1.50,"c":true,"d":false,"e":null,"f":{"a":{"b":1}},"g":[1,"x"],"h":[{"i":1}]}`,
		"none":                     `{}`,
		"numbers":                  `{"a":1e3,"b":0.10,"c":1e999999999,"d":-0}`,
		"a name twice":             `{"a":1,"a":null,"b":null,"b":2}`,
		"names that are one":       `{"plan":"a","Plan":"b","PLAN":"c"}`,
		"nested, and literally":    `{"a":{"b":2},"a.b":1}`,
		"names that are not sent":  `{"":1," ":2,"_k":3}`,
		"long texts":               `{"` + strings.Repeat("é", 300) + `":"` + strings.Repeat("é", 600) + `"}`,
		"no UTF-8":                 "{\"a\xff\xfe\":\"\xff\xfe\"}",
		"skipped, and of any kind": `{"skip":[{"a":1}],"Skip":1,"a":1}`,
		"more than there is room":  "{" + many.String() + `"skip":1}`,
		"long":                     `{"a":"` + strings.Repeat("x", 5000) + `","skip":1}`,
		"too deep":                 `{"a":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			o := jsonwalk.Object(data)
			var want, got flatten.Flattener
			assert.Equal(t, want.Members(o.Map(), "skip"), got.JSON(o, "skip"))
			assert.Equal(t, settle(&want), settle(&got))
			assert.Equal(t, want.Notes(), got.Notes())
		})
	}
}
