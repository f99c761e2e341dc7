module github.com/kissmetrics-go/kissmetrics/reconcile

go 1.27

require (
	github.com/kissmetrics-go/kissmetrics v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/google/go-querystring v1.2.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

// Nothing is published yet.
replace github.com/kissmetrics-go/kissmetrics => ../
