package collect_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A batch of two messages, as an SDK sends it, of which one is wrong.
func ExampleHandler() {
	var sender kissmetricstest.Recorder // in a service a kissmetrics.Queue
	handler, err := collect.NewHandler(&sender, collect.WithWriteKeys("write-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(`{"batch": [
		{"type": "track", "messageId": "1", "userId": "ada", "event": "Signed Up", "timestamp": "2026-03-02T09:40:00Z"},
		{"type": "track", "messageId": "2", "userId": "ada"}
	]}`))
	request.SetBasicAuth("write-key", "")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)

	fmt.Println(answer.Code, answer.Body)
	for _, record := range sender.Records() {
		fmt.Println(record.Kind.Path(), record.Values().Encode())
	}
	// Output:
	// 200 {"success":false,"accepted":1,"rejected":1,"errors":[{"index":1,"messageId":"2","error":"kissmetrics: invalid event: is missing"}]}
	// /e _d=1&_n=Signed+Up&_p=ada&_t=1772444400
}
