package postgres

import "context"

// Standby makes a copy of the cluster that follows it by streaming, and starts it.
// Its owner calls Remove.
func (c *Cluster) Standby(ctx context.Context) (*Cluster, error) {
	return start(ctx, func(standby *Cluster) error {
		return standby.run(ctx, "pg_basebackup", "--pgdata", standby.data(), "--host", c.dir, "--username=postgres",
			"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	})
}

// Promote makes a standby a cluster of its own, which takes writes.
func (c *Cluster) Promote(ctx context.Context) error {
	return c.run(ctx, "pg_ctl", "promote", "--pgdata", c.data(), "--wait")
}
