package kissmetrics_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// A literalServer answers every request with the same bytes, and goes on with the
// next request on that connection.
type literalServer struct {
	listener net.Listener
	answer   string
	all      sync.WaitGroup
}

func newLiteralServer(t *testing.T, answer string) (url string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &literalServer{listener: listener, answer: answer}
	s.all.Go(s.run)
	t.Cleanup(func() {
		_ = listener.Close()
		s.all.Wait()
	})
	return "http://" + listener.Addr().String()
}

func (s *literalServer) run() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.all.Go(func() {
			defer func() { _ = connection.Close() }()
			for requests := bufio.NewReader(connection); ; {
				request, err := http.ReadRequest(requests)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				if _, err := io.WriteString(connection, s.answer); err != nil || strings.Contains(s.answer, "Connection: close") {
					return
				}
			}
		})
	}
}

func TestAnswersAsTheyMayBeOnTheWire(t *testing.T) {
	const ok, early = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	for name, test := range map[string]struct {
		answer string
		want   kissmetrics.FailureKind // zero where it is delivered
	}{
		"100 before it":              {"HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", 0},
		"102 before it":              {"HTTP/1.1 102 Processing\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", 0},
		"many 103 before it":         {strings.Repeat(early, 20) + ok + "Content-Length: 0\r\n\r\n", 0},
		"199 before it":              {"HTTP/1.1 199 Odd\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", 0},
		"103 before a failure":       {early + "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n", kissmetrics.FailureUnavailable},
		"103 and nothing more":       {early + "Connection: close", kissmetrics.FailureUnavailable},
		"trailers":                   {ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nGIF\r\n0\r\nX: y\r\n\r\n", 0},
		"trailers nobody told of":    {ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nGIF\r\n0\r\nStatus: 500\r\n\r\n", 0},
		"a broken trailer":           {ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nGIF\r\n0\r\nX\r\n\r\n", 0},
		"a broken chunk":             {ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 0},
		"a length that is too short": {ok + "Content-Length: 1\r\n\r\nGIF89a", 0},
		"a length that is too long":  {ok + "Content-Length: 99\r\nConnection: close\r\n\r\nGIF89a", 0},
		"two lengths":                {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nGI", kissmetrics.FailureUnavailable},
		"a negative length":          {ok + "Content-Length: -1\r\n\r\n", kissmetrics.FailureUnavailable},
		"no length":                  {ok + "Connection: close\r\n\r\nGIF89a", 0},
		"HTTP/1.0":                   {"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nGIF89a", 0},
		"no reason":                  {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0},
		"no HTTP":                    {"GIF89a, and nothing else\r\nConnection: close\r\n\r\n", kissmetrics.FailureUnavailable},
		"another protocol":           {"SSH-2.0-OpenSSH_9.2p1\r\nConnection: close\r\n", kissmetrics.FailureUnavailable},
		"nothing":                    {"Connection: close", kissmetrics.FailureUnavailable},
		"HTTP/0.9's page":            {"<html>Log in</html>\r\nConnection: close", kissmetrics.FailureUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, kissmetrics.WithBaseURL(newLiteralServer(t, test.answer)),
				kissmetrics.WithMaxAttempts(1), kissmetrics.WithTimeout(5*time.Second))
			for range 3 {
				err := client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e"})
				if test.want == 0 {
					require.NoError(t, err)
				} else {
					require.Equal(t, test.want, requireDelivery(t, err).Kind, "%v", err)
				}
			}
			require.NoError(t, client.Close(t.Context()))
		})
	}
}
