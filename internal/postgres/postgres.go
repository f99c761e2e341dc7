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
	"strings"
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
	server *server
}

// Start makes a cluster and starts it. Its owner calls Remove.
func Start(ctx context.Context) (*Cluster, error) {
	return start(ctx, func(c *Cluster) error {
		return c.run(ctx, "initdb", "--pgdata", c.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	})
}

// start starts a cluster whose files are made by create.
func start(ctx context.Context, create func(*Cluster) error) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket has 107 bytes at most
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	if err := errors.Join(c.own(), create(c)); err != nil {
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

// own makes the directory that of the user whom PostgreSQL runs as, who must not be
// root.
func (c *Cluster) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
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
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command returns a command of PostgreSQL's.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return c.asOwner(ctx, filepath.Join(c.bin, name), args...)
}

// asOwner returns a command that runs as the owner of the directory.
func (c *Cluster) asOwner(ctx context.Context, path string, args ...string) *exec.Cmd {
	line := slices.Concat(c.as, []string{path}, args)
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
func (c *Cluster) Restart(ctx context.Context) (err error) {
	// What is committed must outlive the server, not the machine, so there is no need
	// to wait for the disk.
	c.server, err = spawn(c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data(), "-c", "listen_addresses=",
		"-c", "unix_socket_directories="+c.dir, "-c", "fsync=off", "-c", "max_connections=200"), filepath.Join(c.dir, "log"), "QUIT")
	if err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// A server is a program that ends at the latest when this one does.
type server struct {
	command *exec.Cmd
	alive   io.Closer // when closed, the program is stopped
}

// spawn starts a program, which a signal stops when this program ends. The shell
// that does so reads a pipe, whose end tells it.
func spawn(command *exec.Cmd, logFile, signal string) (*server, error) {
	const script = `signal=$1; shift; "$@" & server=$!; read -r _; kill -"$signal" "$server"; wait "$server"`
	command.Args = slices.Concat([]string{"sh", "-c", script, "sh", signal}, command.Args)
	var err error
	if command.Path, err = exec.LookPath("sh"); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the file of a cluster of ours
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	command.Stdout, command.Stderr = log, log
	alive, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return &server{command, alive}, nil
}

// stop stops the program, unless it has stopped, and waits for its end.
func (s *server) stop() {
	_ = s.alive.Close()
	_ = s.command.Wait() // its status says that it was killed
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
	c.server.stop()
	c.server = nil
	return err
}

// Remove stops the server and deletes its data.
func (c *Cluster) Remove() error {
	return errors.Join(c.Kill(context.Background()), os.RemoveAll(c.dir))
}

// URL returns the connection string of a database: "postgres" always exists. With
// others, such as standbys, it is that of the one that takes writes.
func (c *Cluster) URL(database string, others ...*Cluster) string {
	dirs := []string{c.dir}
	for _, other := range others {
		dirs = append(dirs, other.dir)
	}
	hosts := strings.Join(dirs, ",")
	if len(others) > 0 {
		hosts += "&target_session_attrs=read-write"
	}
	return "postgres:///" + url.PathEscape(database) + "?user=postgres&host=" + hosts
}
