// Package natsbox carries records through [NATS JetStream], for programs whose
// events outgrow one database. Any number of machines send, any number relay,
// and a cluster of servers keeps everything in between.
//
//	js, err := jetstream.New(connection)
//	…
//	sender, err := natsbox.New(ctx, js, natsbox.WithSystemConn(system))
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(sender)) // stores
//	…
//	err = sender.Run(ctx, httpSender) // relays, here or elsewhere
//
// # The promise
//
// Once [Sender.Send] has returned nil, every record of the call is delivered at
// least once, or parked where it can be seen ([Sender.Parked]). This holds if
//
//   - the stream has 3 replicas, file storage and work-queue retention, and
//     refuses new messages when it reaches its limit of bytes. [CreateStreams]
//     creates such a stream;
//   - every server has "sync_interval: always" in the jetstream block of its
//     configuration. With the default of two minutes, acknowledged messages can be
//     lost when machines lose power: see [the analysis of NATS 2.12.1] by Jepsen.
//
// [New] checks all of it and changes nothing; anything else is reported as a
// [*SettingsError]. Settings that weaken the promise must be stated in the code:
// [WithReplicas] and [WithSyncUnchecked].
//
// Then no accepted record is lost by
//
//   - the crash of any process: a sender, a relay or a server;
//   - the loss of one of the three machines, disk included: the other two go on
//     after an election of a few seconds, for which Send waits;
//   - the crash of two machines or of all three, or a power failure: Send fails
//     until two are back, and then everything goes on. Records are lost only if two
//     machines lose their disks.
//
// A record can be delivered twice: when a relay or a server ends between the
// answer of Kissmetrics and the acknowledgement, and when another record of the
// same message could not be delivered, because a message is tried again as a
// whole. That is harmless: Kissmetrics ignores a record that is equal to an
// earlier one in person, name, second and every property
// (https://support.kissmetrics.io/docs/detecting-duplicates).
//
// # What is stored
//
// All records of a message are one message of the stream: the import lines of
// [kissmetrics.Record.MarshalJSON], one per line. A header gives the version of
// that format, and the subject, "<name>.records.<n>", the number of records. So
// they are stored together or not at all, stay in order, and need one
// acknowledgement. (JetStream's atomic batches, with one message per record, would
// not do: a batch is refused if one of its message ids was seen before, which is
// exactly what happens when it is sent again.) No API key is stored; the sender
// that the relay delivers to has one.
//
// The message id, by which JetStream detects duplicates, is the
// [kissmetrics.RepeatKey] of the records. So a message is dropped only if it is
// equal to an earlier one in everything that Kissmetrics tells records apart by,
// and only while that one still waits in the stream. A repeat that comes after the
// stream's duplicate_window, two minutes by default, is stored and delivered again.
//
// # Other hands on the servers
//
// These were tried with nats-server 2.15.2, while four goroutines sent and Run
// delivered. What was acknowledged was delivered, except where the list says otherwise.
//
//   - The leaders of the stream and of the consumer step down twice a second, in a
//     cluster of three: Send takes up to 2 seconds, and deliveries pause for up to 13.
//     A message whose acknowledgement was lost is delivered again after the time of
//     [WithAckWait].
//   - The server of both leaders goes into lame-duck mode, in a cluster of three: Send
//     takes up to 2 seconds.
//   - Three servers are restarted one after another: Send takes up to 2 seconds.
//   - A server of three is cut off from the others, with the clients: their Send fails ("no
//     response from stream", or "duplicate message id is in process") until it is back. Then
//     everything goes on within seconds.
//   - The disk of a server is full: it takes no part in JetStream until it has been
//     restarted with room. If the others are a majority, Send takes up to 10 seconds, once.
//     If not, Send fails. A single server gives no answer at all, not even with room.
//   - A stream is deleted, and restored from a backup (nats stream backup, restore, of
//     natscli 0.5.1): Run ends when it is deleted. What waited in the backup is delivered.
//   - The stream reaches its limit of bytes, or gets one of messages: [ErrFull], until
//     messages are delivered.
//   - The stream is sealed: Send fails at once, with the server's words. What waits is
//     delivered. A stream that takes other subjects, or no messages so large, refuses
//     in the same way; one that acknowledges nothing (no_ack) lets Send wait for the time
//     of [WithTimeout]. Run logs each of these changes.
//   - The stream is purged, or made to discard what is old, or to keep only so many
//     messages of a subject (discard_new_per_subject, too): what waits is lost. Run logs
//     the change of the settings; a purge leaves no trace in them.
//   - The stream republishes, renames subjects, forbids deletion, or allows roll-ups and
//     messages that expire: nothing. Run logs that subjects are renamed.
//   - The consumer gets a filter, a limit of deliveries, or hands out headers only: Run
//     ends with a [*SettingsError]. Everything stays in the stream. Undo the change, or
//     delete the consumer, and run again.
//   - The account gets limits below what there is: what exists goes on. If the consumer
//     is deleted then, and may not be created again (max_ack_pending below 20,000), Run
//     ends with a [*SettingsError].
//   - Another stream mirrors the stream, or has it as a source: nothing is lost as long as
//     the consumer "relay" exists, which [CreateStreams] creates and Run creates again.
//     Without it, messages are moved to the other stream. New finds that.
//   - The clock of the consumer's server is put back, or another server leads, whose clock
//     is behind: nothing is lost, but what is to be tried again waits for that much longer,
//     and Stalled does not tell. Delete the consumer; Run creates it again within seconds.
//   - The consumer is reset to a later message (nats consumer reset): those before wait
//     until the consumer is deleted, which Run creates again. Run logs that, and Stalled
//     grows.
//   - Somebody else takes messages from the consumer (nats consumer next): what they
//     acknowledge is lost.
//   - The consumer is paused: nothing is delivered until then. Run logs that, and Stalled
//     grows.
//   - The user of the connection may not do something, such as acknowledge or ask for
//     messages: Send fails after the time of [WithTimeout], and Run logs that it gets no
//     answer, both with what the server forbids. Run does not end. Without the right to
//     acknowledge, each message is delivered again and again.
//
// # Leaf nodes and accounts
//
// A client of a leaf node, or of another account, reaches the streams by
// jetstream.NewWithDomain or jetstream.NewWithAPIPrefix.
//
//   - While the link of a leaf node is cut, Send fails after the time of
//     [WithTimeout]. Everything goes on within seconds of its return.
//   - If there is a stream of the same name in two JetStream domains, both take the
//     same messages, and either may answer first. Then Send fails with a
//     [*SettingsError]. Give one of them another name ([WithStream]).
//   - A leaf node must not take larger messages than the hub (max_payload). Such a
//     message breaks their link whenever it is tried, and Send fails without an answer.
//   - Another account needs these exports: $JS.API.> with the response type stream,
//     $JS.ACK.<name>.relay.>, <name>.records.* and <name>.parked. The server does not
//     see that a relay of another account has ended: what it hands to such a relay waits
//     for the time of [WithAckWait].
//
// # Rights
//
// A user whose rights are limited needs to subscribe to its inboxes ("_INBOX.>", or what
// nats.CustomInboxPrefix says), and to publish to these subjects, with the name of the
// stream in place of KISSMETRICS:
//
//   - to send: KISSMETRICS.records.*, $JS.API.STREAM.INFO.KISSMETRICS,
//     $JS.API.STREAM.INFO.KISSMETRICS-PARKED, $JS.API.CONSUMER.INFO.KISSMETRICS.relay and
//     $JS.API.STREAM.MSG.GET.KISSMETRICS;
//   - to run, the same and KISSMETRICS.parked, $JS.ACK.KISSMETRICS.relay.>,
//     $JS.API.CONSUMER.CREATE.KISSMETRICS.relay and
//     $JS.API.CONSUMER.MSG.NEXT.KISSMETRICS.relay;
//   - to list what is parked, put it back and delete it, those of a sender and
//     $JS.API.STREAM.MSG.GET.KISSMETRICS-PARKED and
//     $JS.API.STREAM.MSG.DELETE.KISSMETRICS-PARKED;
//   - to create the streams: $JS.API.STREAM.CREATE.KISSMETRICS,
//     $JS.API.STREAM.CREATE.KISSMETRICS-PARKED and
//     $JS.API.CONSUMER.CREATE.KISSMETRICS.relay;
//   - the connection of [WithSystemConn]: $SYS.REQ.SERVER.PING.JSZ.
//
// A server with the feature flag js_ack_fc_v2 needs $JS.ACK.*.*.KISSMETRICS.relay.> instead.
//
// # The connection
//
// The connection is the caller's. By default nats.go takes four minutes to notice
// that a server hangs. To notice sooner, so that Send does not fail meanwhile,
// connect with nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2),
// nats.MaxReconnects(-1) and the addresses of all servers.
//
// When the user expires or is turned away, nats.go closes the connection at the second
// refusal: Send fails at once, and Run ends, with what the server has said. With
// nats.IgnoreAuthErrorAbort it goes on trying, and so do they. Users and accounts of JWTs
// were tried: when a user was revoked or its signing key removed, when a user or an
// account expired or was deleted, or was allowed fewer connections, subscriptions or
// bytes, and when the account lost JetStream, or an export or its activation, nothing was
// lost, and everything went on within seconds of its return. With a JWT that is renewed in
// time (nats.UserJWT, or a new file of nats.UserCredentials) it does within a second.
//
// [NATS JetStream]: https://docs.nats.io/nats-concepts/jetstream
// [the analysis of NATS 2.12.1]: https://jepsen.io/analyses/nats-2.12.1
package natsbox
