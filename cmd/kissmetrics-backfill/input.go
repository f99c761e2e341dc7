package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/kissmetrics-go/kissmetrics/internal/gunzip"
)

// maxLineBytes bounds a line. No SDK sends a message that large.
const maxLineBytes = 4 << 20

//go:embed testdata/sample.jsonl
var sample []byte

// input is where the lines come from.
type input struct {
	name    string // as in the checkpoint
	file    *os.File
	stdin   io.ReadCloser
	size    int64        // as stored, or -1 if unknown
	raw     atomic.Int64 // how much of that was read
	regular bool         // whether a read never waits for a writer
	plain   bool         // whether offsets are offsets in the file
	r       *bufio.Reader
	line    int64 // number of lines read
	offset  int64 // their length, uncompressed
	head    fingerprint
}

// A fingerprint identifies an input by its beginning.
type fingerprint struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func fingerprintOf(head []byte) fingerprint {
	sum := sha256.Sum256(head)
	return fingerprint{len(head), hex.EncodeToString(sum[:])}
}

// Read reads the input as stored, and counts the bytes.
func (in *input) Read(p []byte) (n int, err error) {
	switch {
	case in.file != nil:
		n, err = in.file.Read(p)
	default:
		n, err = in.stdin.Read(p)
	}
	in.raw.Add(int64(n))
	return n, err
}

// openInput opens the file, standard input or the sample.
func openInput(f flags, stdin io.ReadCloser) (*input, error) {
	in := &input{size: -1}
	switch f.file {
	case "":
		in.name, in.stdin, in.size = "the sample", io.NopCloser(bytes.NewReader(sample)), int64(len(sample))
		in.regular = true
	case "-":
		in.name, in.stdin = "standard input", stdin
	default:
		var err error
		if in.name, err = filepath.Abs(f.file); err != nil {
			return nil, err
		}
		if in.file, err = os.Open(f.file); err != nil {
			return nil, usageError{err}
		}
		info, err := in.file.Stat()
		if err != nil || info.IsDir() {
			in.close()
			return nil, usageError{errors.Join(err, fmt.Errorf("%s is not a readable file", f.file))}
		}
		if info.Mode().IsRegular() {
			in.size, in.plain, in.regular = info.Size(), true, true
		}
	}
	in.r = bufio.NewReaderSize(in, 64<<10)
	lines, zipped, err := gunzip.Open(in.r)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("reading %s: %w", in.name, err)
	}
	in.r, in.plain = lines, in.plain && !zipped
	head, err := in.r.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		in.close()
		return nil, fmt.Errorf("reading %s: %w", in.name, err)
	}
	in.head = fingerprintOf(head)
	return in, nil
}

var errOtherInput = errors.New("this is not the input that the checkpoint belongs to")

// resume moves to the position of a checkpoint.
func (in *input) resume(saved *checkpoint) error {
	offset := saved.state.Offset
	if offset == 0 {
		return nil
	}
	head, err := in.r.Peek(min(saved.Head.Bytes, 4<<10))
	if err != nil || fingerprintOf(head) != saved.Head {
		return errOtherInput
	}
	in.head = saved.Head // the input may have grown since
	if in.plain {
		if offset > in.size {
			return fmt.Errorf("%w: it is shorter", errOtherInput)
		}
		if _, err := in.file.Seek(offset-1, io.SeekStart); err != nil {
			return err
		}
		in.raw.Store(offset - 1)
		in.r.Reset(in)
	} else if _, err := io.CopyN(io.Discard, in.r, offset-1); err != nil {
		return fmt.Errorf("%w: it is shorter (%w)", errOtherInput, err)
	}
	last, err := in.r.ReadByte()
	if err != nil {
		return fmt.Errorf("%w: it is shorter (%w)", errOtherInput, err)
	}
	if _, err := in.r.Peek(1); last != '\n' && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the checkpoint is in the middle of a line", errOtherInput)
	}
	in.line, in.offset = saved.state.Line, offset
	return nil
}

// ended reports whether nothing is left to read.
func (in *input) ended() bool {
	_, err := in.r.Peek(1)
	return errors.Is(err, io.EOF)
}

// A line is one line of the input.
type line struct {
	number int64
	end    int64  // the offset after it
	raw    int64  // how much of the input, as stored, was read by then
	text   []byte // trimmed, and cut if the line is too long
	length int    // of the whole line
}

// read sends lines until there are no more or ctx ends. At the end of the input it
// returns io.EOF.
func (in *input) read(ctx context.Context, lines chan<- line) error {
	defer close(lines)
	for {
		l, err := in.next()
		if err != nil {
			return err
		}
		select {
		case lines <- l:
		case <-ctx.Done():
			return nil
		}
	}
}

// next returns the next line. The caller may keep its text.
func (in *input) next() (line, error) {
	var text []byte
	length := 0
	for {
		part, err := in.r.ReadSlice('\n')
		length += len(part)
		if room := maxLineBytes + 1 - len(text); room > 0 {
			text = append(text, part[:min(len(part), room)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || length == 0) {
			return line{}, err
		}
		break
	}
	in.line++
	in.offset += int64(length)
	if in.line == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	return line{in.line, in.offset, in.raw.Load(), bytes.TrimSpace(text), length}, nil
}

func (in *input) close() {
	if in.file != nil {
		_ = in.file.Close()
	} else {
		_ = in.stdin.Close()
	}
}
