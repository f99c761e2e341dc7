package main

import (
	"context"
	"errors"
	"net/http/httptest"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// A bucket is that of an S3 server in memory.
type bucket struct {
	*httptest.Server

	backend *s3mem.Backend
}

const (
	bucketName = "shop-events"
	base       = "shop"
)

func newBucket() *bucket {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucketName); err != nil {
		panic(err) // it is the first one
	}
	return &bucket{httptest.NewServer(gofakes3.New(backend).Server()), backend}
}

func (b *bucket) where() bulk.Bucket {
	return bulk.Bucket{
		Name: bucketName, Base: base, Endpoint: b.URL, PathStyle: true, Region: "us-east-1",
		AccessKey: "shop", SecretKey: "any",
	}
}

// importTo does what Kissmetrics does with the objects, in the order of their names,
// but for a few events that it loses.
func (b *bucket) importTo(ctx context.Context, url string, lose int) (objects int, err error) {
	to, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(url))
	if err != nil {
		return 0, err
	}
	defer to.CloseIdleConnections()
	prefix := gofakes3.NewPrefix(new(base), nil)
	list, err := b.backend.ListBucket(bucketName, &prefix, gofakes3.ListBucketPage{})
	if err != nil {
		return 0, err
	}
	for i, content := range list.Contents {
		lost, err := b.importOne(ctx, to, content.Key, i%2 == 1 && lose > 0)
		if err != nil {
			return 0, err
		}
		if lost {
			lose--
		}
	}
	return len(list.Contents), nil
}

// importOne imports an object, and reports whether an order of it was lost. Of one that
// is lossy it is the first, if there is any.
func (b *bucket) importOne(ctx context.Context, to kissmetrics.Sender, key string, lossy bool) (lost bool, err error) {
	object, err := b.backend.GetObject(bucketName, key, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, object.Contents.Close()) }()
	for r, err := range kissmetrics.ReadImport(object.Contents) {
		if err != nil {
			return lost, err
		}
		if lossy && !lost && r.Name == "Order Completed" {
			lost = true
			continue
		}
		if err := to.Send(ctx, []kissmetrics.Record{r.Record}); err != nil {
			return lost, err
		}
	}
	return lost, nil
}
