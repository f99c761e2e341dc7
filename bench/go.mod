module github.com/kissmetrics-go/kissmetrics/bench

go 1.26

require (
	github.com/kissmetrics-go/kissmetrics v0.0.0
	github.com/posthog/posthog-go v1.5.2
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/google/go-querystring v1.2.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

// Nothing is published yet.
replace github.com/kissmetrics-go/kissmetrics => ../
