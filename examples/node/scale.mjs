// Scales a resource through scalegate and waits for the result: node scale.mjs worker 5
//
// Needs Node.js 18 or newer and nothing else.
// SCALEGATE_SERVER says where the gateway is; http://127.0.0.1:8080 if it is not set.
// SCALEGATE_KEY holds the API key, if the gateway wants one; it needs the scope "scale".
// Exit code: 0 the capacity is reached, 1 the job ended in another way, 2 the request was refused,
// 3 the gateway did not answer for ten minutes (a job it has accepted goes on nevertheless).

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const SERVER = process.env.SCALEGATE_SERVER || "http://127.0.0.1:8080";
const KEY = process.env.SCALEGATE_KEY;
const PATIENCE = 600_000; // milliseconds without an answer

/** Sends a request again until it is answered, so that a restart of the gateway does no harm. */
async function call(path, options) {
  const url = new URL(path, SERVER);
  const headers = { ...options.headers, ...(KEY && { Authorization: `Bearer ${KEY}` }) };
  const giveUpAt = Date.now() + PATIENCE;
  for (;;) {
    let trouble;
    let pause = 2;
    try {
      const answer = await fetch(url, { ...options, headers, signal: AbortSignal.timeout(60_000) });
      const text = await answer.text();
      // 503 is from the gateway, and so is 429 if there are too many requests; 504 may be, too, or from a proxy like 502.
      if (![429, 502, 503, 504].includes(answer.status)) return understand(answer, text);
      trouble = `status ${answer.status}`;
      pause = retryAfter(answer);
    } catch (error) {
      trouble = error.cause?.message || error.message;
    }
    if (Date.now() > giveUpAt) fail(3, `no answer from ${SERVER}: ${trouble}`);
    console.error(`trying again in ${pause} s: ${trouble}`);
    await sleep(pause * 1000);
  }
}

function understand(answer, text) {
  if (answer.ok) return { answer, job: JSON.parse(text) };
  if (!answer.headers.get("Content-Type")?.includes("problem+json")) {
    fail(2, `not an answer of scalegate: status ${answer.status} from ${answer.url}`);
  }
  const { title, detail, code } = JSON.parse(text);
  fail(2, `${title}: ${detail} (${code})`);
}

function retryAfter(answer) {
  return Number.parseInt(answer.headers.get("Retry-After"), 10) || 2;
}

function fail(exitCode, message) {
  console.error(message);
  process.exit(exitCode);
}

function describe({ state, resource, currentCapacity, targetCapacity, waitingFor, error }) {
  let line = `${state}: ${resource} to ${targetCapacity}`;
  if (currentCapacity !== null) line += `, now ${currentCapacity}`;
  if (waitingFor) line += `; ${waitingFor.reason}: ${waitingFor.detail}`;
  if (error) line += `; ${error.code}: ${error.message}`;
  return line;
}

const [resource, target] = process.argv.slice(2);
if (!resource || !/^\d+$/.test(target)) fail(2, "usage: node scale.mjs RESOURCE TARGET");

// With the same key, a POST sent again gets the same job, even if only the answer to the first one was lost.
let { answer, job } = await call("/v1/jobs", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Idempotency-Key": randomUUID() },
  body: JSON.stringify({ resource, targetCapacity: Number(target) }),
});
console.log(`job ${job.id} ${answer.status === 202 ? "accepted" : "joined: it has the same target"}`);

let shown;
let pause = 0;
for (;;) {
  if (describe(job) !== shown) {
    shown = describe(job);
    console.log(shown);
  }
  if (!["queued", "running"].includes(job.state)) break;
  await sleep(pause * 1000);
  // The answer comes when the job is over, or when Retry-After says that something else may have changed.
  const wait = retryAfter(answer);
  ({ answer, job } = await call(`/v1/jobs/${job.id}`, { headers: { Prefer: `wait=${wait}` } }));
  // A gateway that is too busy to hold the answer back gives it at once: wait here instead.
  pause = answer.headers.has("Preference-Applied") ? 1 : wait;
}
process.exitCode = job.state === "succeeded" ? 0 : 1;
