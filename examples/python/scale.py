"""Scales a resource through scalegate and waits for the result: python3 scale.py worker 5

SCALEGATE_SERVER says where the gateway is; http://127.0.0.1:8080 if it is not set.
SCALEGATE_KEY holds the API key, if the gateway wants one; it needs the scope "scale".
Exit code: 0 the capacity is reached, 1 the job ended in another way, 2 the request was refused,
3 the gateway did not answer for ten minutes (a job it has accepted goes on nevertheless).
"""

import argparse
import os
import sys
import time
import uuid

import requests

SERVER = os.environ.get("SCALEGATE_SERVER", "http://127.0.0.1:8080").rstrip("/")
KEY = os.environ.get("SCALEGATE_KEY")
PATIENCE = 600  # seconds without an answer


def with_key(request):
    if KEY:
        request.headers["Authorization"] = f"Bearer {KEY}"
    return request


session = requests.Session()
# As `auth`, because a header alone would make room for a password in ~/.netrc.
session.auth = with_key


def call(method, path, **arguments):
    """Sends a request again until it is answered, so that a restart of the gateway does no harm."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        pause = 2
        try:
            answer = session.request(method, SERVER + path, timeout=(5, 60), **arguments)
            # 503 is from the gateway, and so is 429 if there are too many requests; 504 may be, too, or from a proxy like 502.
            if answer.status_code not in (429, 502, 503, 504):
                break
            trouble, pause = f"status {answer.status_code}", retry_after(answer)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            trouble = error
        if time.monotonic() > give_up_at:
            print(f"no answer from {SERVER}: {trouble}", file=sys.stderr)
            sys.exit(3)
        print(f"trying again in {pause} s: {trouble}", file=sys.stderr)
        time.sleep(pause)
    if answer.ok:
        return answer
    if "problem+json" in answer.headers.get("Content-Type", ""):
        problem = answer.json()
        print(f"{problem['title']}: {problem['detail']} ({problem['code']})", file=sys.stderr)
    else:
        print(f"not an answer of scalegate: status {answer.status_code} from {answer.url}", file=sys.stderr)
    sys.exit(2)


def retry_after(answer):
    value = answer.headers.get("Retry-After", "")
    return int(value) if value.isdecimal() else 2


def describe(job):
    line = f"{job['state']}: {job['resource']} to {job['targetCapacity']}"
    if job["currentCapacity"] is not None:
        line += f", now {job['currentCapacity']}"
    if job["waitingFor"]:
        line += f"; {job['waitingFor']['reason']}: {job['waitingFor']['detail']}"
    if job["error"]:
        line += f"; {job['error']['code']}: {job['error']['message']}"
    return line


def main():
    parser = argparse.ArgumentParser(description="Scales a resource through scalegate and waits for the result.")
    parser.add_argument("resource")
    parser.add_argument("target", type=int)
    args = parser.parse_args()

    # With the same key, a POST sent again gets the same job, even if only the answer to the first one was lost.
    answer = call(
        "POST",
        "/v1/jobs",
        json={"resource": args.resource, "targetCapacity": args.target},
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    job = answer.json()
    print(f"job {job['id']}", "accepted" if answer.status_code == 202 else "joined: it has the same target", flush=True)

    shown, pause = None, 0
    while True:
        if describe(job) != shown:
            shown = describe(job)
            print(shown, flush=True)
        if job["state"] not in ("queued", "running"):
            return 0 if job["state"] == "succeeded" else 1
        time.sleep(pause)
        # The answer comes when the job is over, or when Retry-After says that something else may have changed.
        wait = retry_after(answer)
        answer = call("GET", f"/v1/jobs/{job['id']}", headers={"Prefer": f"wait={wait}"})
        # A gateway that is too busy to hold the answer back gives it at once: wait here instead.
        pause = 1 if "Preference-Applied" in answer.headers else wait
        job = answer.json()


if __name__ == "__main__":
    sys.exit(main())
