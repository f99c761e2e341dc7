// Package postgres starts throw-away PostgreSQL clusters, for tests and examples:
// in a temporary directory, on a Unix socket only, gone when they are stopped or
// the program ends in whatever way.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// ErrNotInstalled says that there is no PostgreSQL on this machine, and how to get
// it.
var ErrNotInstalled = errors.New("PostgreSQL is not installed (on Debian: apt-get install postgresql)")

// patience is how long anything may take.
const patience = time.Minute

// A Cluster is a PostgreSQL server and its data. Its methods are for one goroutine
// at a time.
type Cluster struct {
	dir    string
	bin    string
	as     []string // the command that runs another as somebody else than root
	server *exec.Cmd
	alive  io.Closer // when closed, the server is stopped
}

// Start makes a cluster and starts it. Its owner calls Remove.
func Start(ctx context.Context) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket has 107 bytes at most
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.Restart(ctx); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}

// binaries finds the directory of PostgreSQL's programs. Debian has them in
// directories of their own, one a version.
func binaries() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	for _, dir := range slices.Backward(candidates) {
		if hasAll(dir, "initdb", "postgres", "pg_ctl", "pg_isready") {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

func hasAll(dir string, programs ...string) bool {
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}

// create makes the files of the cluster.
func (c *Cluster) create(ctx context.Context) error {
	if os.Geteuid() == 0 { // as whom PostgreSQL refuses to run
		owner, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, err1 := strconv.Atoi(owner.Uid)
		gid, err2 := strconv.Atoi(owner.Gid)
		if err := errors.Join(err1, err2, os.Chown(c.dir, uid, gid)); err != nil {
			return err
		}
		c.as = []string{"setpriv", "--reuid=" + owner.Uid, "--regid=" + owner.Gid, "--clear-groups"}
	}
	return c.run(ctx, "initdb", "--pgdata", c.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command returns a command of PostgreSQL's.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line := slices.Concat(c.as, []string{filepath.Join(c.bin, name)}, args)
	command := exec.CommandContext(ctx, line[0], line[1:]...) //nolint:gosec // made of constants and what was found
	command.Dir = c.dir
	return command
}

func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if output, err := c.command(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}

// Restart starts the server again after Kill, and waits until it answers.
func (c *Cluster) Restart(ctx context.Context) error {
	// The shell's standard input ends when this program does, and with it the
	// server. What is committed must outlive the server, not the machine, so there
	// is no need to wait for the disk.
	const script = `"$@" & server=$!; read -r _; kill -QUIT "$server"; wait "$server"`
	server := c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data(), "-c", "listen_addresses=",
		"-c", "unix_socket_directories="+c.dir, "-c", "fsync=off", "-c", "max_connections=200")
	server.Args = slices.Concat([]string{"sh", "-c", script, "sh"}, server.Args)
	var err error
	if server.Path, err = exec.LookPath("sh"); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	server.Stdout, server.Stderr = log, log
	if c.alive, err = server.StdinPipe(); err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	c.server = server
	return c.awaitReady(ctx)
}

func (c *Cluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.run(ctx, "pg_isready", "--host", c.dir)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("the server does not start: %w\n%s", err, log)
		}
	}
}

// Kill stops the server as if it had crashed (pg_ctl stop -m immediate).
func (c *Cluster) Kill(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	err := c.run(context.WithoutCancel(ctx), "pg_ctl", "stop", "--pgdata", c.data(), "--mode", "immediate", "--wait")
	_ = c.alive.Close()
	_ = c.server.Wait() // its status says that it was killed
	c.server = nil
	return err
}

// Remove stops the server and deletes its data.
func (c *Cluster) Remove() error {
	return errors.Join(c.Kill(context.Background()), os.RemoveAll(c.dir))
}

// URL returns the connection string of a database: "postgres" always exists.
func (c *Cluster) URL(database string) string {
	return "postgres:///" + url.PathEscape(database) + "?user=postgres&host=" + url.QueryEscape(c.dir)
}
