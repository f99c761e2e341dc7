// Package riverbox keeps records in PostgreSQL until Kissmetrics has them, as jobs
// of River (https://riverqueue.com). It is for programs that run on several
// machines, or whose events must be committed together with their own tables. River
// does the queueing; this package is the adapter.
//
//	sender, err := riverbox.New(ctx, pool)
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(sender)) // stores
//	err = client.Track(ctx, message)                               // nil: committed
//	…
//	err = sender.Run(ctx, httpSender) // delivers, here or elsewhere
//
// In a transaction of your own, together with your own rows:
//
//	records, _, err := kissmetrics.Transform(message, time.Now(), kissmetrics.TransformOptions{})
//	…
//	err = sender.SendTx(ctx, tx, records)
//
// A program with River jobs of its own delivers by its own River client instead of
// [Sender.Run]:
//
//	river.AddWorker(workers, riverbox.NewWorker(sender, httpSender))
//	riverClient, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
//		Queues:                      map[string]river.QueueConfig{riverbox.Queue: {MaxWorkers: 8}},
//		Workers:                     workers,
//		RescueStuckJobsAfter:        5 * time.Minute, // when others take over a dead process's jobs; 1 hour if not set
//		CancelledJobRetentionPeriod: -1,              // keep parked messages; 24 hours if not set
//		DiscardedJobRetentionPeriod: -1,              // the same; 7 days if not set
//	})
//
// # The promise
//
// Once [Sender.Send] has returned nil, or the transaction of a [Sender.SendTx] is
// committed, every record is delivered at least once, or parked where it can be
// seen. That holds whatever process or machine ends in between and however often
// the database restarts, as long as PostgreSQL keeps what it has committed. With fsync or
// synchronous_commit off, it may lose that in a crash, and without synchronous replication
// (synchronous_standby_names) when a standby is promoted. A repeat is harmless: every
// record carries its own second, which was set when it was made, and Kissmetrics ignores a
// record that is equal to an earlier one in person, name, second and every property
// (https://support.kissmetrics.io/docs/detecting-duplicates).
//
// A Send that failed has stored all of the message's records or none. After an
// error of the connection it cannot be known which; sending again is right either
// way.
//
// One message is one job, so its records are delivered in order. The job keeps how
// far its delivery has come, and the next attempt continues there.
//
//   - Records that could not be delivered (no answer, 408, 425, 429, 5xx, any other
//     error but a refusal) are tried again, after waits that double from one second
//     to five minutes, with full jitter ([WithBackoff]). The job is snoozed, which
//     costs none of River's attempts, so no outage is long enough to make River
//     discard it. If an answer asks for a pause (Retry-After), the whole worker
//     pauses, for up to five minutes.
//   - Records that are refused for good ([kissmetrics.Settle] says which), and
//     those that something on the way has refused for a day and 50 times, are parked:
//     once the message's other records are delivered, the job is cancelled with the
//     reason as its last error. Parking delays nothing else. Unreadable jobs are parked
//     too.
//   - If a process dies, or loses its connection just as it fetches jobs or reports
//     them, River gives these to others after RescueStuckJobsAfter. River looks every
//     30 seconds. If the process was River's leader, another one
//     takes its place within about 15 seconds.
//   - When a client stops, the jobs that it cuts off are free at once.
//
// # Parked messages
//
// [Sender.Parked] lists them, [Sender.Requeue] makes them wait again, and
// [Sender.Delete] deletes them. River's own means work as well, such as its user
// interface or JobRetry, even if the same message was sent again since. A retried
// message is sent as a whole. River's Subscribe(river.EventKindJobCancelled) tells
// of each message as it is parked.
//
// # What River needs
//
// River's own migrations make its tables, and must be run explicitly, as often as
// you like: `river migrate-up --database-url …` (`river migrate-get --all --up`
// prints the SQL), or
//
//	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
//	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
//
// See https://riverqueue.com/docs/migrations. This package adds nothing to them.
//
// A role that does not own the tables needs USAGE on their schema. To send, it needs
// SELECT, INSERT and UPDATE on river_job, and USAGE on the sequence river_job_id_seq; to
// run, SELECT, INSERT, UPDATE and DELETE on river_job, river_leader and river_queue.
//
// Any started River client on the same tables can become River's leader, so all of
// them must have two things in common, or records are lost. [Sender.Run] has both.
//
//   - Each knows the worker, or has LeaderElectionDisabled set: a leader discards
//     the stuck jobs of kinds that it does not know.
//   - Each has the same CancelledJobRetentionPeriod.
//
// # Other hands on the database
//
// These were tried with PostgreSQL 15 and River 0.51.2, while four goroutines sent and
// Run delivered. Nothing that was stored was lost, except by TRUNCATE.
//
//   - pg_terminate_backend on every connection once a second, pg_cancel_backend 20
//     times a second: some calls of Send fail, and deliveries pause for less than a
//     second.
//   - LOCK TABLE river_job IN ACCESS EXCLUSIVE MODE for 20 seconds: Send waits until
//     then, or until its context ends, and so do deliveries. ALTER TABLE in a transaction
//     of 30 seconds: the same. VACUUM FULL again and again: pauses of less than a second.
//   - River's tables in a schema that only the role's search_path names: nothing.
//   - statement_timeout, idle_in_transaction_session_timeout or idle_session_timeout of
//     one second, a lock_timeout of 10 ms, serializable isolation as the default:
//     nothing but lines in the log, and now and then a Send that fails.
//   - A database that is read-only for 20 seconds, as a standby is: Send fails (25006),
//     River logs, and Stalled grows. Then deliveries go on within a second. Run does not
//     end. Connected to a standby by mistake, both say so.
//   - The database's disk is full: Send fails (53100), nothing is delivered, and River logs
//     that. Everything goes on when there is room.
//   - Every right, the right to log in or every free connection is taken away: Send fails
//     and River logs, with what is missing. It goes on within seconds of its return; a job
//     that was delivered meanwhile is delivered again after five minutes. If the
//     role may not see the tables, Run ends, as if there were none.
//   - Row-level security on river_job, with no policy that shows the jobs to the role:
//     Send fails, nothing is delivered, and Stats and Flush see nothing that waits. New and
//     Run log that it is on.
//   - A backup (pg_dump, pg_restore): what waited in it is delivered; what was under way,
//     after five minutes.
//   - River's migrations one step back, and up again: nothing.
//   - A lock on river_leader, every advisory lock from -100 to 1000, and the lock that
//     autovacuum takes, held for as long as it takes: nothing.
//   - Periodic and snoozing jobs of other kinds in one River client with a [Worker]: nothing.
//   - A River client without the [Worker] that works this queue, too: the jobs that it
//     fetches fail, and wait as long as River makes them.
//   - A queue that is paused through River stays so until it is resumed. Run logs that,
//     and Stalled grows.
//   - TRUNCATE river_job, which `river bench` does: what waited is lost, and what comes is
//     delivered.
//
// # Clocks
//
// River sets when a job is due by the clock of the machine that stores or tries it; its
// leader makes it available by its own clock, and it is fetched by the database's. These
// were tried with clocks that are wrong by hours, and nothing was lost.
//
//   - Every 15 seconds [Sender.Run] looks for jobs that are due later than any wait may
//     last (in more than six minutes, or the limit of [WithBackoff] and a minute), or that
//     should have been available 15 seconds ago. It makes them so, and logs it. Without
//     a Run, they wait for as long as the clock is wrong.
//   - A machine whose clock is behind holds each failed job for up to 10 seconds, where
//     others would wait for longer.
//   - A clock that skips a day parks nothing.
//
// # PgBouncer
//
// Sending and [Sender.SendTx] work through PgBouncer in transaction mode, and so
// does delivering. The pool must not rely on prepared statements, which a session
// has and a transaction does not: add default_query_exec_mode=exec to its
// connection string (PgBouncer 1.21 and later can keep prepared statements itself).
// Without it, Send fails with PostgreSQL's error 26000 or 42P05 and this advice.
// Deliver with [WithPollOnly], or PollOnly in a River client of your own, because
// PostgreSQL's notifications do not pass either.
//
// One connection for all (a pool_size of 1) is enough. PAUSE and KILL hold up
// everything until RESUME, RECONNECT nothing (PgBouncer 1.18).
//
// Pgpool-II 4.3 in front of a primary and a standby works as well. Set its
// load_balance_mode to off, or Stats and Flush may ask a standby that is behind.
package riverbox
