// Package riverbox keeps records in PostgreSQL until Kissmetrics has them: it
// is a [kissmetrics.Sender] that stores, and a worker that delivers what is
// stored, both on River (https://riverqueue.com). It is for programs that run on
// several machines, or whose events must be committed together with their own
// tables. River does the queueing; this package is the adapter.
//
//	workers := river.NewWorkers()
//	river.AddWorker(workers, riverbox.Worker(httpSender)) // such as a kissmetrics.NewHTTPSender
//	riverClient, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
//		Queues:                      map[string]river.QueueConfig{riverbox.Queue: {MaxWorkers: 8}},
//		Workers:                     workers,
//		RescueStuckJobsAfter:        5 * time.Minute, // a dead process's jobs are taken over after this; 1 hour if not set
//		CancelledJobRetentionPeriod: -1,              // keep what is parked; 24 hours if not set
//	})
//	…
//	sender, err := riverbox.New(riverClient)
//	client, err := kissmetrics.New(kissmetrics.WithSender(sender))
//	err = client.Track(ctx, message) // nil: committed
//
// In a transaction of your own, together with your own rows:
//
//	records, _, err := kissmetrics.Transform(message, time.Now(), kissmetrics.TransformOptions{})
//	…
//	err = sender.SendTx(ctx, tx, records)
//
// # Promise
//
// What [Sender.Send] returned nil for, and what [Sender.SendTx] stored in a
// transaction that was committed, is delivered at least once, whatever process
// or machine ends in between and however often the database is restarted, as
// long as PostgreSQL keeps what it has committed. A repeat is harmless, because
// Kissmetrics ignores it: every record carries its own second, pinned when it
// was made. A Send that failed has stored all of the message's records or none;
// after an error of the connection it cannot be known which, and sending again
// is right either way.
//
// One message is one job, so that its records are delivered in order. How far a
// delivery has come is kept with the job, and the next attempt continues there.
//
//   - What cannot be delivered (no answer, 408, 425, 429, 5xx, any error but the
//     ones below) is tried again, after waits that double from one second to five
//     minutes, with full jitter. The job is snoozed, which costs no attempt of
//     River's, so no outage is long enough to make River discard it. When a
//     server asks to be left alone (Retry-After), the whole worker heeds it, up to
//     five minutes.
//   - What Kissmetrics refuses for good ([kissmetrics.DeliveryError.Refused], or
//     a [kissmetrics.ValidationError]) is parked: the job is cancelled with the
//     reason as its last error, once the message's other records are delivered.
//     It holds up nothing. So is a job that cannot be read.
//   - When a process dies, River gives its jobs to others after
//     RescueStuckJobsAfter. River looks every 30 seconds, and where the process
//     was River's leader, another takes its place within about 15 seconds.
//   - When the client stops, jobs that are cut off are free at once.
//
// # Parked messages
//
// They are listed, requeued and deleted by River's own means, its user interface
// among them:
//
//	list, err := riverClient.JobList(ctx, river.NewJobListParams().
//		Kinds(riverbox.Args{}.Kind()).States(rivertype.JobStateCancelled))
//	for _, job := range list.Jobs {
//		reason := job.Errors[len(job.Errors)-1].Error
//		var args riverbox.Args
//		err := json.Unmarshal(job.EncodedArgs, &args)
//		records, err := args.Records()
//		…
//		_, err = riverClient.JobRetry(ctx, job.ID) // or JobDelete
//	}
//
// River deletes cancelled jobs after 24 hours unless told otherwise, hence the
// CancelledJobRetentionPeriod above. Subscribe(river.EventKindJobCancelled) tells
// of each as it happens. A retried message is sent as a whole.
//
// # What River needs
//
// River's tables, which its own migrations make and nothing here does in secret.
// They are explicit and idempotent: `river migrate-up --database-url …`
// (`river migrate-get --all --up` prints the SQL), or
//
//	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
//	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
//
// See https://riverqueue.com/docs/migrations. Nothing is added to them.
//
// Two settings of River would lose records, if they were not heeded by every
// started client on the same tables, since any of them can become River's
// leader:
//
//   - Each must know the worker (or set LeaderElectionDisabled): a leader
//     discards the stuck jobs of kinds that it does not know.
//   - Each must have the same CancelledJobRetentionPeriod.
//
// How many messages wait, and since when:
//
//	SELECT state, count(*), min(created_at) FROM river_job
//	WHERE kind = 'kissmetrics_records' GROUP BY state
//
// What waits for another attempt is scheduled, and its metadata says why, under
// "kissmetrics".
package riverbox
