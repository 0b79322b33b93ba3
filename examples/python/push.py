"""Tells scalegate how long the queue of a worker is: python3 push.py worker queue /var/spool/jobs

The queue is a directory here, in which each file is a job. SCALEGATE_SERVER and SCALEGATE_KEY are those of scale.py; a key
with the scope "push" is enough.
"""

import os
import sys
import time

import requests

resource, metric, directory = sys.argv[1:]
server = os.environ.get("SCALEGATE_SERVER", "http://127.0.0.1:8080").rstrip("/")


def with_key(request):
    if key := os.environ.get("SCALEGATE_KEY"):
        request.headers["Authorization"] = f"Bearer {key}"
    return request


while True:
    try:
        value = len(os.listdir(directory))
        answer = requests.post(f"{server}/v1/resources/{resource}/metrics/{metric}", json={"value": value}, auth=with_key, timeout=10)
        print(value if answer.ok else answer.text, flush=True)
    except requests.RequestException as error:
        print(f"not pushed: {error}", flush=True)
    time.sleep(15)
