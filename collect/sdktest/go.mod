module github.com/kissmetrics-go/kissmetrics/collect/sdktest

go 1.26

require (
	github.com/kissmetrics-go/kissmetrics v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	gopkg.in/segmentio/analytics-go.v3 v3.1.0
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/segmentio/backo-go v1.1.0 // indirect
	github.com/xtgo/uuid v0.0.0-20140804021211-a0b114877d4c // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

// Nothing is published yet.
replace github.com/kissmetrics-go/kissmetrics => ../../
