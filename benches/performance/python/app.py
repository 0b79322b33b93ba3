"""Scaling jobs without scalegate: FastAPI, and behind it a task in the background for each job.

What a developer can write in an afternoon who keeps to the platform's guide: a client that waits for ACTIVE, changes one unit
at a time, and pauses for the cooldown after each change; around it an endpoint that starts a job and one that shows it.
`cargo bench --bench performance -- python` measures it beside scalegate; it is for nothing else.

What it does not do:

- Jobs are kept in memory alone. When the process ends, they are gone, and so are the cooldowns.
- The cooldown belongs to the job: the next job for the same resource begins without one, and two at the same time each
  change it as if they were alone.
- Each job holds a thread of FastAPI's pool until it is over, also while it pauses. The pool has 40 unless it is told
  otherwise; the other jobs wait for one.
- A change that is not answered ends the job as failed, whether it was made or not.
- A reading is believed, however old it is. A resource at capacity 0 that is not ACTIVE is not scaled: the job fails.
- There are no keys, no canceling and no list of jobs, and no job is ever removed.

SIDECAR_URL, COOLDOWN_SECONDS and POLL_SECONDS say where the sidecar is and how long the two pauses are.
"""

import os
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Literal

import requests
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, Field

SIDECAR = os.environ.get("SIDECAR_URL", "http://127.0.0.1:49750")
COOLDOWN = timedelta(seconds=float(os.environ.get("COOLDOWN_SECONDS", "300")))
POLL = timedelta(seconds=float(os.environ.get("POLL_SECONDS", "30")))
ACTIVE_WITHIN = timedelta(minutes=15)
ANSWER_WITHIN_SECONDS = 60
READ_ATTEMPTS = 4


class Order(BaseModel):
    resource: str = Field(pattern="^[A-Za-z0-9_-]+$")
    targetCapacity: int = Field(ge=0)


class Wait(BaseModel):
    reason: Literal["active", "cooldown"]
    until: datetime


class Step(BaseModel):
    index: int
    op: Literal["add", "remove"]
    fromCapacity: int
    toCapacity: int
    sentAt: datetime


class Job(BaseModel):
    id: str
    resource: str
    state: Literal["queued", "running", "succeeded", "failed"] = "queued"
    targetCapacity: int
    startCapacity: int | None = None
    currentCapacity: int | None = None
    waitingFor: Wait | None = None
    steps: list[Step] = []
    error: str | None = None
    createdAt: datetime
    startedAt: datetime | None = None
    updatedAt: datetime
    finishedAt: datetime | None = None


def now() -> datetime:
    return datetime.now(timezone.utc)


class Scaling:
    """Carries one job out, in a thread of its own."""

    def __init__(self, job: Job, http: requests.Session):
        self.job = job
        self.http = http
        self.capacity_url = f"{SIDECAR}/resource/{job.resource}/capacity"

    def run(self) -> None:
        self.show(state="running", startedAt=now())
        try:
            self.scale()
            ending = {"state": "succeeded"}
        except Exception as trouble:
            ending = {"state": "failed", "error": str(trouble)}
        self.show(**ending, waitingFor=None, finishedAt=now())

    def scale(self) -> None:
        while (capacity := self.capacity_when_active()) != self.job.targetCapacity:
            step = 1 if capacity < self.job.targetCapacity else -1
            sent_at = self.change(capacity, step)
            self.pause("cooldown", sent_at + COOLDOWN)

    def capacity_when_active(self) -> int:
        give_up_at = now() + ACTIVE_WITHIN
        while True:
            reading = self.read()
            capacity, status = reading["currentCapacity"], reading["status"]
            first = capacity if self.job.startCapacity is None else self.job.startCapacity
            self.show(startCapacity=first, currentCapacity=capacity)
            if status == "ACTIVE":
                return capacity
            if status == "FAILED":
                raise RuntimeError(f"{self.job.resource} is FAILED")
            if now() > give_up_at:
                raise RuntimeError(f"{self.job.resource} is still {status}")
            self.pause("active", now() + POLL)

    def read(self) -> dict:
        """Reads the capacity; tries again after 1, 2 and 4 seconds."""
        for attempt in range(READ_ATTEMPTS):
            try:
                answer = self.http.get(self.capacity_url, timeout=ANSWER_WITHIN_SECONDS)
                answer.raise_for_status()
                return answer.json()
            except requests.RequestException:
                if attempt + 1 == READ_ATTEMPTS:
                    raise
                time.sleep(2**attempt)

    def change(self, capacity: int, step: int) -> datetime:
        """Sends a change, once: to send it again could make it twice."""
        op, field = ("add", "capacityToBeAdded") if step > 0 else ("remove", "capacityToBeRemoved")
        answer = self.http.post(f"{self.capacity_url}/{op}", json={field: abs(step)}, timeout=ANSWER_WITHIN_SECONDS)
        answer.raise_for_status()
        sent = Step(index=len(self.job.steps) + 1, op=op, fromCapacity=capacity, toCapacity=capacity + step, sentAt=now())
        self.show(steps=[*self.job.steps, sent])
        return sent.sentAt

    def pause(self, reason: str, until: datetime) -> None:
        self.show(waitingFor=Wait(reason=reason, until=until))
        time.sleep(max(0.0, (until - now()).total_seconds()))
        self.show(waitingFor=None)

    def show(self, **changed) -> None:
        """What is asked for from now on: a copy takes the place of the job, so that no reader sees half a change."""
        self.job = self.job.model_copy(update={**changed, "updatedAt": now()})
        jobs[self.job.id] = self.job


def carry_out(job: Job) -> None:
    # Sessions are not meant to be shared by threads.
    with requests.Session() as http:
        Scaling(job, http).run()


app = FastAPI()
jobs: dict[str, Job] = {}


@app.post("/jobs", status_code=202)
async def submit(order: Order, background: BackgroundTasks) -> Job:
    created_at = now()
    job = Job(id=str(uuid.uuid4()), **order.model_dump(), createdAt=created_at, updatedAt=created_at)
    jobs[job.id] = job
    background.add_task(carry_out, job)
    return job


@app.get("/jobs/{job_id}")
async def show(job_id: str) -> Job:
    if job_id not in jobs:
        raise HTTPException(404, "there is no such job")
    return jobs[job_id]
