"""What users of the gateway do, with a client that openapi-python-client made of the document.

`.ci/clients` generates the client, starts a gateway and gives its address and a key. Every answer has to come as the type
that the document promises.
"""

import os

from scalegate_client import AuthenticatedClient
from scalegate_client.api.access import create_key, list_audit_entries
from scalegate_client.api.jobs import cancel_job, get_job, list_jobs, plan_job, submit_job
from scalegate_client.api.resources import get_resource, list_timeline_entries
from scalegate_client.models import (
    AuditAction,
    AuditOutcome,
    Job,
    JobAcceptedEntry,
    JobState,
    NewJob,
    NewKey,
    OnConflict,
    Problem,
    ProblemCode,
    Scope,
    StepOutcome,
)

RESOURCE = "python"


def main():
    url = os.environ["GATEWAY"]
    client = AuthenticatedClient(base_url=url, token=os.environ["API_KEY"], raise_on_unexpected_status=True)
    first = submit_and_replay(client)
    wait(client, first)
    busy_then_cancel(client)
    page_through(client)
    refusals(client, url)
    look(client)
    print("the Python client does what it should")


def submit_and_replay(client):
    """The same request with the same key is one job."""
    body = NewJob(resource=RESOURCE, target_capacity=3, step_size=1, cooldown_seconds=0.2, reason="a test")
    plan = plan_job.sync(client=client, body=body)
    check(plan.target_capacity == 3 and len(plan.steps) == 2, plan)
    answers = [submit_job.sync_detailed(client=client, body=body, idempotency_key="python-1") for _ in range(2)]
    check([answer.status_code for answer in answers] == [202, 202], answers)
    jobs = [answer.parsed for answer in answers]
    check(all(isinstance(job, Job) for job in jobs) and jobs[0].id == jobs[1].id, jobs)
    check([answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"], answers)
    return jobs[0]


def wait(client, job):
    """The answer is held back until the job is over."""
    answer = get_job.sync_detailed(job.id, client=client, prefer="wait=30")
    check(answer.headers["Preference-Applied"] == "wait=30", answer)
    job = answer.parsed
    check(job.state is JobState.SUCCEEDED and job.current_capacity == 3 and job.error is None, job)
    check([step.outcome for step in job.steps] == [StepOutcome.CONFIRMED] * 2, job)
    check(job.finished_at > job.created_at, job)


def busy_then_cancel(client):
    """A conflict is a typed error, which leads to the job in the way."""
    slow = submit(client, target_capacity=9, step_size=1, cooldown_seconds=600)
    problem = submit_job.sync(client=client, body=NewJob(resource=RESOURCE, target_capacity=1))
    check(isinstance(problem, Problem) and problem.status == 409, problem)
    check(problem.code is ProblemCode.RESOURCE_BUSY and problem.job.id == slow.id, problem)
    queued = submit(client, target_capacity=1, on_conflict=OnConflict.QUEUE)
    check(queued.state is JobState.QUEUED, queued)
    for job in [queued, slow]:
        check(isinstance(cancel_job.sync(job.id, client=client), Job), job)
        canceled = get_job.sync(job.id, client=client, prefer="wait=30")
        check(canceled.state is JobState.CANCELED and canceled.canceled_by.name == slow.submitted_by.name, canceled)
    problem = cancel_job.sync(slow.id, client=client)
    check(isinstance(problem, Problem) and problem.code is ProblemCode.JOB_FINISHED, problem)


def page_through(client):
    """Each job is on one page, newest first."""
    found, options = [], {}
    while True:
        page = list_jobs.sync(client=client, resource=RESOURCE, page_size=2, **options)
        check(len(page.jobs) <= 2, page)
        found += page.jobs
        if page.next_page_token is None:
            break
        options = {"page_token": page.next_page_token}
    check(len({job.id for job in found}) == len(found) == 3, found)
    check(found[0].created_at >= found[-1].created_at, found)
    canceled = list_jobs.sync(client=client, resource=RESOURCE, state=[JobState.CANCELED, JobState.FAILED])
    check(len(canceled.jobs) == 2, canceled)


def refusals(client, url):
    """What is wrong is told by field and by code, and stands in the audit."""
    problem = submit_job.sync(client=client, body=NewJob(resource=RESOURCE))
    check(problem.code is ProblemCode.VALIDATION_FAILED and problem.errors[0].pointer == "/targetCapacity", problem)
    created = create_key.sync(client=client, body=NewKey(name="looks", scope=Scope.READ, resources=[RESOURCE]))
    check(created.key.scope is Scope.READ and created.key.resources == [RESOURCE], created)
    reader = AuthenticatedClient(base_url=url, token=created.secret, raise_on_unexpected_status=True)
    problem = submit_job.sync(client=reader, body=NewJob(resource=RESOURCE, target_capacity=1))
    check(problem.status == 403 and problem.code is ProblemCode.INSUFFICIENT_SCOPE, problem)
    entry = list_audit_entries.sync(client=client, page_size=1).entries[0]
    check((entry.action, entry.outcome) == (AuditAction.SUBMIT_JOB, AuditOutcome.REFUSED), entry)
    check(entry.code is ProblemCode.INSUFFICIENT_SCOPE and entry.actor.key == created.key.id, entry)


def look(client):
    """Each kind of entry in the timeline is a type of its own."""
    resource = get_resource.sync(RESOURCE, client=client)
    check(resource.status == "ACTIVE" and resource.bounds.min_ == 0 and resource.active_job is None, resource)
    entries = list_timeline_entries.sync(RESOURCE, client=client).entries
    accepted = [entry for entry in entries if isinstance(entry, JobAcceptedEntry)]
    check([entry.target_capacity for entry in accepted] == [1, 9, 3], entries)


def submit(client, **fields):
    """Submits a job that must be accepted."""
    job = submit_job.sync(client=client, body=NewJob(resource=RESOURCE, **fields))
    check(isinstance(job, Job), job)
    return job


def check(holds, what):
    if not holds:
        raise AssertionError(what)


main()
