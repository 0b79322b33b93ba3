"""What Schemathesis cannot know about the API from its document."""

import schemathesis

# Refusals of requests that are valid in themselves: the key was used for something else before, or the resource's
# capacity is such that the target is out of reach. The document cannot say which requests these are, because that
# depends on what happened before.
REFUSED_AS_THINGS_ARE = {
    ("POST", "/v1/jobs"): {"idempotency_key_reused"},
    ("POST", "/v1/plans"): {"out_of_bounds"},
    ("POST", "/v1/groups"): {"idempotency_key_reused"},
    ("POST", "/v1/groups/plan"): {"out_of_bounds"},
    # The time has to be one of which values are kept, and the policy is as any other.
    ("POST", "/v1/backtests"): {"validation_failed"},
}

# Refusals of requests whose fields depend on each other, or on what the policy of the resource is: a document can say that
# of none of them in words that generators of clients understand. tests/it/api/http_contract/policies.rs has them.
POLICIES = "/v1/resources/{alias}/"
REFUSED_BY_POLICIES = {"validation_failed", "precondition_failed", "no_policy", "idempotency_key_reused"}

GROUPS = ("/v1/groups", "/v1/groups/plan")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops the complaint that a valid request was refused if it was refused for one of these reasons.

    The status alone does not tell: 422 is also the answer to requests that make no sense, and for a valid one to be
    taken for such is a failure.
    """
    if failure.code != "ST202" or response.status_code not in (409, 412, 422):
        return True
    answer = response.json()
    if case.path.startswith(POLICIES) and answer.get("code") in REFUSED_BY_POLICIES:
        return False
    # Lengths are limited in bytes, and the document can count characters only.
    if answer.get("code") == "validation_failed" and all(" bytes" in error["detail"] for error in answer["errors"]):
        return False
    # Stages have to name the targets beside them, each once.
    if case.path in GROUPS and answer.get("code") == "validation_failed":
        return not all(error["pointer"].startswith("/stages") for error in answer["errors"])
    reasons = REFUSED_AS_THINGS_ARE.get((case.method, case.path), set())
    return answer.get("code") not in reasons


@schemathesis.hook
def before_call(context, case, kwargs):
    """Waits a second for a job where the document's example waits for half a minute, which is as good a test."""
    if case.headers and case.headers.get("Prefer") == "wait=30":
        case.headers["Prefer"] = "wait=1"
