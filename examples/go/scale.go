// Scales a resource through scalegate and waits for the result: go run . worker 5
//
// SCALEGATE_SERVER says where the gateway is; http://127.0.0.1:8080 if it is not set.
// SCALEGATE_KEY holds the API key, if the gateway wants one; it needs the scope "scale".
// Exit code: 0 the capacity is reached, 1 the job ended in another way, 2 the request was refused,
// 3 the gateway did not answer for ten minutes (a job it has accepted goes on nevertheless).
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const patience = 10 * time.Minute // without an answer

var client = http.Client{Timeout: time.Minute}

type job struct {
	ID              string
	State           string
	Resource        string
	CurrentCapacity *int
	TargetCapacity  int
	WaitingFor      *struct{ Reason, Detail string }
	Error           *struct{ Code, Message string }
}

func (j job) String() string {
	line := fmt.Sprintf("%s: %s to %d", j.State, j.Resource, j.TargetCapacity)
	if j.CurrentCapacity != nil { // not known before the first reading
		line += fmt.Sprintf(", now %d", *j.CurrentCapacity)
	}
	if j.WaitingFor != nil {
		line += fmt.Sprintf("; %s: %s", j.WaitingFor.Reason, j.WaitingFor.Detail)
	}
	if j.Error != nil {
		line += fmt.Sprintf("; %s: %s", j.Error.Code, j.Error.Message)
	}
	return line
}

// call sends a request again until it is answered, so that a restart of the gateway does no harm.
func call(method, path string, header map[string]string, body []byte) (*http.Response, job) {
	giveUpAt := time.Now().Add(patience)
	for {
		request, err := http.NewRequest(method, server()+path, bytes.NewReader(body))
		if err != nil {
			fail(2, err)
		}
		for name, value := range header {
			request.Header.Set(name, value)
		}
		if key := os.Getenv("SCALEGATE_KEY"); key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		answer, text, err := send(request)
		pause := 2
		if err == nil {
			switch answer.StatusCode {
			// 503 is from the gateway, and so is 429 if there are too many requests; 504 may be, too, or from a proxy like 502.
			case 429, 502, 503, 504:
				err, pause = fmt.Errorf("status %s", answer.Status), retryAfter(answer)
			default:
				return answer, understand(answer, text)
			}
		}
		if time.Now().After(giveUpAt) {
			fail(3, "no answer: ", err)
		}
		fmt.Fprintf(os.Stderr, "trying again in %d s: %v\n", pause, err)
		time.Sleep(time.Duration(pause) * time.Second)
	}
}

func send(request *http.Request) (*http.Response, []byte, error) {
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, text, err
}

// understand ends the program if the request was refused.
func understand(answer *http.Response, text []byte) (result job) {
	var problem struct{ Title, Detail, Code string }
	switch {
	case answer.StatusCode < 300 && json.Unmarshal(text, &result) == nil:
	case strings.Contains(answer.Header.Get("Content-Type"), "problem+json") && json.Unmarshal(text, &problem) == nil:
		fail(2, problem.Title, ": ", problem.Detail, " (", problem.Code, ")")
	default:
		fail(2, "not an answer of scalegate: status ", answer.Status)
	}
	return result
}

func retryAfter(answer *http.Response) int {
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil {
		return 2
	}
	return seconds
}

func server() string {
	if url := os.Getenv("SCALEGATE_SERVER"); url != "" {
		return strings.TrimRight(url, "/")
	}
	return "http://127.0.0.1:8080"
}

func fail(exitCode int, message ...any) {
	fmt.Fprintln(os.Stderr, fmt.Sprint(message...))
	os.Exit(exitCode)
}

func main() {
	if len(os.Args) != 3 {
		fail(2, "usage: scale RESOURCE TARGET")
	}
	target, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(2, "usage: scale RESOURCE TARGET")
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		fail(2, err)
	}
	body, err := json.Marshal(map[string]any{"resource": os.Args[1], "targetCapacity": target})
	if err != nil {
		fail(2, err)
	}
	// With the same key, a POST sent again gets the same job, even if only the answer to the first one was lost.
	answer, j := call("POST", "/v1/jobs", map[string]string{
		"Content-Type":    "application/json",
		"Idempotency-Key": fmt.Sprintf("%x", key),
	}, body)
	if answer.StatusCode == http.StatusAccepted {
		fmt.Println("job", j.ID, "accepted")
	} else {
		fmt.Println("job", j.ID, "joined: it has the same target")
	}

	shown, pause := "", 0
	for {
		if line := j.String(); line != shown {
			shown = line
			fmt.Println(line)
		}
		if j.State != "queued" && j.State != "running" {
			break
		}
		time.Sleep(time.Duration(pause) * time.Second)
		// The answer comes when the job is over, or when Retry-After says that something else may have changed.
		wait := retryAfter(answer)
		answer, j = call("GET", "/v1/jobs/"+j.ID, map[string]string{"Prefer": fmt.Sprintf("wait=%d", wait)}, nil)
		// A gateway that is too busy to hold the answer back gives it at once: wait here instead.
		pause = wait
		if answer.Header.Get("Preference-Applied") != "" {
			pause = 1
		}
	}
	if j.State != "succeeded" {
		os.Exit(1)
	}
}
