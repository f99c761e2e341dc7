package reconcile_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// A client whose records are archived on their way, and what Kissmetrics has kept of
// them. The server of this example follows the old rule for duplicates.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server := kissmetricstest.Start(kissmetricstest.WithOldDuplicateRule())
	defer server.Close()

	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer sender.CloseIdleConnections()
	archive, err := reconcile.NewArchive(filepath.Join(dir, "archive"), sender)
	if err != nil {
		log.Fatal(err)
	}
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, plan := range []string{"Basic", "Pro"} {
		upgrade := kissmetrics.NewEvent("ann", "Upgraded", noon, kissmetrics.Text("Plan", plan))
		if err := archive.Send(ctx, []kissmetrics.Record{upgrade}); err != nil {
			log.Fatal(err)
		}
	}
	if err := archive.Close(ctx); err != nil {
		log.Fatal(err)
	}

	if err := server.Export(filepath.Join(dir, "export"), kissmetricstest.ExportOptions{}); err != nil {
		log.Fatal(err)
	}
	sent, err := reconcile.Open(filepath.Join(dir, "archive"))
	if err != nil {
		log.Fatal(err)
	}
	exported, err := reconcile.Open(filepath.Join(dir, "export"))
	if err != nil {
		log.Fatal(err)
	}
	r, err := reconcile.New()
	if err != nil {
		log.Fatal(err)
	}
	for difference, err := range r.Differences(ctx, sent.Records(), exported.Records()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(difference)
	}
	fmt.Println(r.Counts().Arrived, "arrived")
	// Output:
	// dropped as a repeat (old rule): event "Upgraded" with 1 properties
	// 1 arrived
}
