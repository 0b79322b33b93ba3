// Tells scalegate how long the queue of a worker is: go run ./push worker queue /var/spool/jobs
//
// The queue is a directory here, in which each file is a job. SCALEGATE_SERVER and SCALEGATE_KEY are those of scale.go; a key
// with the scope "push" is enough.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = http.Client{Timeout: 10 * time.Second}

// push sends one value.
func push(url string, value int) (string, error) {
	request, err := http.NewRequest("POST", url, strings.NewReader(fmt.Sprintf(`{"value": %d}`, value)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if key := os.Getenv("SCALEGATE_KEY"); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode == http.StatusAccepted {
		return fmt.Sprint(value), err
	}
	return string(text), err
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: push RESOURCE METRIC DIRECTORY")
		os.Exit(2)
	}
	resource, metric, directory := os.Args[1], os.Args[2], os.Args[3]
	server := strings.TrimRight(os.Getenv("SCALEGATE_SERVER"), "/")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	url := server + "/v1/resources/" + resource + "/metrics/" + metric
	for ; ; time.Sleep(15 * time.Second) {
		jobs, err := os.ReadDir(directory)
		result := ""
		if err == nil {
			result, err = push(url, len(jobs))
		}
		if err != nil {
			result = fmt.Sprintf("not pushed: %s", err)
		}
		fmt.Println(result)
	}
}
