// Tells scalegate how long the queue of a worker is: node push.mjs worker queue /var/spool/jobs
//
// The queue is a directory here, in which each file is a job. SCALEGATE_SERVER and SCALEGATE_KEY are those of scale.mjs; a key
// with the scope "push" is enough.

import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const [resource, metric, directory] = process.argv.slice(2);
const url = new URL(`/v1/resources/${resource}/metrics/${metric}`, process.env.SCALEGATE_SERVER || "http://127.0.0.1:8080");
const key = process.env.SCALEGATE_KEY;
const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };

for (;;) {
  try {
    const value = (await readdir(directory)).length;
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ value }), signal: AbortSignal.timeout(10_000) });
    console.log(answer.ok ? value : await answer.text());
  } catch (error) {
    console.log(`not pushed: ${error.cause?.message || error.message}`);
  }
  await sleep(15_000);
}
