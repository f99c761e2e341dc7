#!/usr/bin/env bash
# github.com/google/go-querystring v1.2.0: by its doc a pointer is encoded as the value that it
# points to, a time.Time as RFC 3339, and embedded structs follow the visibility rules of
# Go. In a field of type any, as properties of events often are, a pointer is written as its
# address in memory, another one each time, and a time as String has it, with the reading
# of the monotonic clock. A field of an embedded struct that one of the outer struct hides is
# sent as well, so that an event has two names. An embedded pointer that is nil, which stands
# for no parameters, is a parameter with the name of its type. No error is returned.
#
# Expected: what the doc says, whatever the type of the field.
# Seen:
#   Coupon any = &"SUMMER": Coupon=0x...
#   Coupon *string = &"SUMMER": Coupon=SUMMER
#   At any = time.Now(): At=... m=+...
#   At time.Time = time.Now(): RFC 3339
#   Event "Bought" with an embedded Event "Viewed": Event=Bought Event=Viewed
#   an embedded *Campaign, nil: Campaign= Event=Bought
#   encoding/json of the last two: {"Event":"Bought"} {"Event":"Bought"}
#
# Needs Go. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
cat >main.go <<'EOF'
package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
)

type viewed struct{ Event string }

type bought struct {
	viewed
	Event string
}

type Campaign struct{ Source string }

type plain struct {
	*Campaign
	Event string
}

// parameters has what is sent of v, without what differs each time.
func parameters(v any) string {
	values, err := query.Values(v)
	check(err)
	var all []string
	for name, list := range values {
		for _, value := range list {
			all = append(all, name+"="+value)
		}
	}
	slices.Sort(all)
	text := strings.Join(all, " ")
	text = regexp.MustCompile(`0x[0-9a-f]+`).ReplaceAllString(text, "0x...")
	return regexp.MustCompile(`=\d+-\d+-\d+ .* m=\+[\d.]+`).ReplaceAllString(text, "=... m=+...")
}

func main() {
	coupon := "SUMMER"
	fmt.Println(`Coupon any = &"SUMMER":`, parameters(struct{ Coupon any }{&coupon}))
	fmt.Println(`Coupon *string = &"SUMMER":`, parameters(struct{ Coupon *string }{&coupon}))
	fmt.Println("At any = time.Now():", parameters(struct{ At any }{time.Now()}))
	_, at, _ := strings.Cut(parameters(struct{ At time.Time }{time.Now()}), "=")
	_, err := time.Parse(time.RFC3339, at)
	check(err)
	fmt.Println("At time.Time = time.Now(): RFC 3339")
	hides := bought{viewed{"Viewed"}, "Bought"}
	fmt.Println(`Event "Bought" with an embedded Event "Viewed":`, parameters(hides))
	fmt.Println("an embedded *Campaign, nil:", parameters(plain{Event: "Bought"}))
	first, err := json.Marshal(hides)
	check(err)
	second, err := json.Marshal(plain{Event: "Bought"})
	check(err)
	fmt.Printf("encoding/json of the last two: %s %s\n", first, second)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/google/go-querystring@v1.2.0 2>/dev/null
timeout 60 go run . | tee seen
diff - seen <<'EOF'
Coupon any = &"SUMMER": Coupon=0x...
Coupon *string = &"SUMMER": Coupon=SUMMER
At any = time.Now(): At=... m=+...
At time.Time = time.Now(): RFC 3339
Event "Bought" with an embedded Event "Viewed": Event=Bought Event=Viewed
an embedded *Campaign, nil: Campaign= Event=Bought
encoding/json of the last two: {"Event":"Bought"} {"Event":"Bought"}
EOF
