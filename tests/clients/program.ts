// What users of the gateway do, with a client that @hey-api/openapi-ts made of the document.
//
// `.ci/clients` generates the client, has this file checked by the compiler, starts a gateway and gives its address and a
// key. Every answer has to come as the type that the document promises.

import { client } from './client/client.gen.js';
import {
    cancelJob, createKey, getJob, getResource, listAuditEntries, listJobs, listTimelineEntries, planJob, submitJob,
} from './client/index.js';
import type { Job, JobAcceptedEntry, JobState, NewJob, NewKey, Problem, ProblemCode, TimelineEntry } from './client/index.js';

declare const process: { env: Record<string, string | undefined> };

const resource = 'typescript';

async function main() {
    client.setConfig({ baseUrl: process.env.GATEWAY, auth: process.env.API_KEY });
    const first = await submitAndReplay();
    await wait(first);
    await busyThenCancel();
    await pageThrough();
    await refusals();
    await look();
    console.log('the TypeScript client does what it should');
}

/** The same request with the same key is one job. */
async function submitAndReplay(): Promise<Job> {
    const body: NewJob = { resource, targetCapacity: 3, stepSize: 1, cooldownSeconds: 0.2, reason: 'a test' };
    const plan = (await planJob({ body, throwOnError: true })).data;
    check(plan.targetCapacity === 3 && plan.steps.length === 2, plan);
    const headers = { 'Idempotency-Key': 'typescript-1' };
    const once = await submitJob({ body, headers, throwOnError: true });
    const again = await submitJob({ body, headers, throwOnError: true });
    check(once.response.status === 202 && again.response.status === 202, again.response.status);
    check(once.data.id === again.data.id && again.response.headers.get('Idempotency-Replayed') === 'true', again.data);
    return once.data;
}

/** The answer is held back until the job is over. */
async function wait(job: Job) {
    const { data, response } = await getJob({ path: { id: job.id }, headers: { Prefer: 'wait=30' }, throwOnError: true });
    check(response.headers.get('Preference-Applied') === 'wait=30', response.status);
    check(data?.state === 'succeeded' && data.currentCapacity === 3 && data.error === null, data);
    check(data.steps.length === 2 && data.steps.every((step) => step.outcome === 'confirmed'), data);
}

/** A conflict is a typed error, which leads to the job in the way. */
async function busyThenCancel() {
    const slow = await submit({ resource, targetCapacity: 9, stepSize: 1, cooldownSeconds: 600 });
    const busy = problem(await submitJob({ body: { resource, targetCapacity: 1 } }));
    check(busy.status === 409 && busy.code === 'resource_busy' && busy.job?.id === slow.id, busy);
    const queued = await submit({ resource, targetCapacity: 1, onConflict: 'queue' });
    check(queued.state === 'queued', queued);
    for (const { id } of [queued, slow]) {
        await cancelJob({ path: { id }, throwOnError: true });
        const canceled = (await getJob({ path: { id }, headers: { Prefer: 'wait=30' }, throwOnError: true })).data;
        check(canceled?.state === 'canceled' && canceled.canceledBy?.name === slow.submittedBy?.name, canceled);
    }
    const finished = problem(await cancelJob({ path: { id: slow.id } }));
    check(finished.status === 409 && finished.code === 'job_finished', finished);
}

/** Each job is on one page, newest first. */
async function pageThrough() {
    const found: Job[] = [];
    let pageToken: string | undefined;
    do {
        const page = (await listJobs({ query: { resource, pageSize: 2, pageToken }, throwOnError: true })).data;
        check(page.jobs.length <= 2, page);
        found.push(...page.jobs);
        pageToken = page.nextPageToken ?? undefined;
    } while (pageToken);
    check(found.length === 3 && new Set(found.map((job) => job.id)).size === 3, found);
    const state: JobState[] = ['canceled', 'failed'];
    const canceled = (await listJobs({ query: { resource, state }, throwOnError: true })).data;
    check(canceled.jobs.length === 2, canceled);
}

/** What is wrong is told by field and by code, and stands in the audit. */
async function refusals() {
    // @ts-expect-error A job without a resource is refused by the compiler.
    const without: NewJob = { targetCapacity: 3 };
    check(problem(await submitJob({ body: without })).errors?.[0]?.pointer === '/resource', without);
    const invalid = problem(await submitJob({ body: { resource } }));
    check(invalid.code === 'validation_failed' && invalid.errors?.[0]?.pointer === '/targetCapacity', invalid);
    const wish: NewKey = { name: 'looks', scope: 'read', resources: [resource] };
    const created = (await createKey({ body: wish, throwOnError: true })).data;
    const refused = problem(await submitJob({ body: { resource, targetCapacity: 1 }, auth: created.secret }));
    check(refused.status === 403, refused);
    const entry = (await listAuditEntries({ query: { pageSize: 1 }, throwOnError: true })).data.entries[0];
    const code: ProblemCode | null | undefined = entry?.code;
    check(entry?.outcome === 'refused' && code === 'insufficient_scope' && entry.actor?.key === created.key.id, entry);
}

/** Each kind of entry in the timeline is a type of its own. */
async function look() {
    const shown = (await getResource({ path: { alias: resource }, throwOnError: true })).data;
    check(shown.status === 'ACTIVE' && shown.bounds.min === 0 && shown.activeJob === null, shown);
    const { entries } = (await listTimelineEntries({ path: { alias: resource }, throwOnError: true })).data;
    const accepted = entries.filter((entry: TimelineEntry): entry is JobAcceptedEntry => entry.kind === 'job_accepted');
    check(accepted.map((entry) => entry.targetCapacity).join() === '1,9,3', entries);
}

/** Submits a job that must be accepted. */
async function submit(body: NewJob): Promise<Job> {
    return (await submitJob({ body, throwOnError: true })).data;
}

/** The problem with which a request has to be answered. */
function problem(answer: { data?: unknown; error?: Problem }): Problem {
    check(answer.data === undefined && answer.error !== undefined, answer.data);
    return answer.error;
}

function check(holds: boolean, what: unknown): asserts holds {
    if (!holds) {
        throw new Error(JSON.stringify(what));
    }
}

await main();
