module github.com/kissmetrics-go/kissmetrics/cmd/kmreconcile

go 1.27

require (
	github.com/dustin/go-humanize v1.1.0
	github.com/kissmetrics-go/kissmetrics v0.0.0
	github.com/kissmetrics-go/kissmetrics/reconcile v0.0.0
	github.com/schollz/progressbar/v3 v3.19.1
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/term v0.48.0
)

require (
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace (
	github.com/kissmetrics-go/kissmetrics => ../..
	github.com/kissmetrics-go/kissmetrics/reconcile => ../../reconcile
)
