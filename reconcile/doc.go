// Package reconcile compares what was sent to Kissmetrics with what Kissmetrics
// exports, and says record by record what is missing, what is there twice, and what
// was altered and how. Kissmetrics answers 200 to everything, so this is the only
// proof that something arrived.
//
// What was sent is an [Archive] that stood in front of the sender, or the files of
// a bulk import. What arrived is a data export. [Open] reads both:
//
//	sent, err := reconcile.Open("archive")
//	...
//	exported, err := reconcile.Open("export")
//	...
//	r, err := reconcile.New()
//	...
//	for difference, err := range r.Differences(ctx, sent.Records(), exported.Records()) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(difference)
//	}
//	fmt.Println(r.Counts().Missing)
//
// The command kmreconcile does that with files.
//
// # What is compared
//
// Records are compared as Kissmetrics compares them: identities and names without
// regard to case, a comma or a colon in a name as a space, values as texts, times
// in whole seconds. Nothing of this is a difference. Neither is a number that was sent
// and is exported in another way (1000 for 1000.0), nor an İ in a name or an identity
// that is exported as i, with its dot or without.
//
// Kissmetrics judges properties by themselves. A record of properties has arrived
// if each of its values is in some row of that person and second, whatever the row.
// Its [Difference] speaks of the properties that are not.
//
// An alias has no direction and, by the tracking API, no time. Neither is compared.
// One that is exported several times changes nothing, and is no difference.
//
// A record that is sent several times counts once; the others are [Counts].Repeats.
// Rows that stand in two exports are there twice, so give exports that do not overlap.
// What is exported but was never sent is counted as Unsent and is no difference,
// because a product may have other senders.
//
// # How
//
// Both sides are written to temporary files, in parts small enough to be compared
// in memory, by a hash of the person and the second. What finds no partner there is
// compared again by what a changed time, a cut value or an alias leaves alone, and at
// last with what is like it in part.
// So memory does not grow with the input: see [WithMemory]. Temporary files take
// about as much room as the uncompressed input, and are gone when the loop ends.
// Records are taken for equal if 128 bits of their SHA-256 are.
//
// To measure lines a minute and peak memory, with compressed files:
//
//	go test ./reconcile -run '^$' -bench Differences -benchtime 1x -timeout 1h -lines 20000000
//
// On two cores, 100 million lines a side took 12 minutes and 41 seconds (7.9 million a
// minute) and 275 MB of memory, all of the process, with 10 µs of processor time a line,
// the making of the files included. 5 million took 31 seconds (9.6 million a minute)
// and 71 MB.
//
// It takes 250 bytes of disk a line, in the folder for temporary files (TMPDIR): 25 GB
// for 100 million. Nearly all of that is in files that are gone when the process ends,
// however it ends. The others, 20 bytes a line, are removed unless it is killed.
package reconcile
