package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNoBouncer says that there is no PgBouncer on this machine, and how to get it.
var ErrNoBouncer = errors.New("PgBouncer is not installed (on Debian: apt-get install pgbouncer)")

// A Bouncer is a PgBouncer in front of a cluster, in transaction mode.
type Bouncer struct {
	dir    string
	server *server
}

// bouncerPort is part of the name of the socket.
const bouncerPort = "6432"

// Bouncer starts a PgBouncer that has so many connections to each database. Its
// owner calls Remove.
func (c *Cluster) Bouncer(ctx context.Context, connections int) (*Bouncer, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, ErrNoBouncer
		}
	}
	dir, err := os.MkdirTemp(c.dir, "b")
	if err != nil {
		return nil, err
	}
	// It belongs to the owner of the cluster, as everything there.
	owner := &Cluster{dir: dir}
	if err := owner.own(); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "ini")
	settings := fmt.Appendf(nil, `[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr =
listen_port = %s
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
`, c.dir, bouncerPort, dir, connections)
	if err := os.WriteFile(config, settings, 0o644); err != nil { //nolint:gosec // nothing in it is secret
		return nil, err
	}
	b := &Bouncer{dir: dir}
	if b.server, err = spawn(owner.asOwner(context.WithoutCancel(ctx), path, config), filepath.Join(dir, "log"), "TERM"); err != nil {
		return nil, err
	}
	return b, b.awaitReady(ctx)
}

// awaitReady waits until it takes connections.
func (b *Bouncer) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "unix", filepath.Join(b.dir, ".s.PGSQL."+bouncerPort))
		if err == nil {
			return connection.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return errors.Join(fmt.Errorf("PgBouncer does not start: %w\n%s", err, log), b.Remove())
		}
	}
}

// Remove stops it.
func (b *Bouncer) Remove() error {
	b.server.stop()
	return os.RemoveAll(b.dir)
}

// URL returns the connection string of a database through it.
func (b *Bouncer) URL(database string) string {
	return "postgres:///" + url.PathEscape(database) + "?user=postgres&port=" + bouncerPort + "&host=" + url.QueryEscape(b.dir)
}
