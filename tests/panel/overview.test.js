/**
 * What needs a person, in a real browser: the mark that a failed job leaves, many resources, jobs in line, and what is
 * not said while the sidecar is away.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Complaints } from "./browser.js";
import { Gateway, Sidecar } from "./gateway.js";
import { LOOKS, badge, close, fill, fits, heading, isLive, jobShown, unnamed } from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "200ms", "--start", "1", "--max", "6"];
const GATEWAY = ["--cooldown", "1m", "--settle", "300ms", "--poll-interval", "200ms", "--active-timeout", "20s"];
const names = Array.from({ length: 60 }, (_, index) => `row-${index + 1}`);
const listed = (aliases) => aliases.map((alias) => `[resources.${alias}]\n`).join("");

const { sidecar, gateway, complaints, open, picture } = await stage({
  simulate: SIDECAR, serve: GATEWAY, configuration: listed(names),
});

const BAND = new URL("../../examples/policies/queue-band.json", import.meta.url);

/** More than the simulated platform has. */
const TOO_MUCH = { targetCapacity: 9, stepSize: 9, reason: "burst" };

async function ended(gateway, { id }) {
  const { state } = await (await fetch(`${gateway.url}/v1/jobs/${id}`, { headers: { Prefer: "wait=30" } })).json();
  return state;
}

/** What stands in a column of the rows, from the first one on. */
const column = (page, name) => page.locator(`.fleet tbody .at-${name}`).allInnerTexts();

test("a failed job leaves its mark on its resource until another succeeds", async () => {
  const few = await Gateway.start(sidecar, GATEWAY, listed(["api", "mail", "web"]));
  const heard = new Complaints(few.url);
  try {
    const page = await open("", { origin: few.url, expected: heard });
    const strip = page.getByRole("region", { name: "State of everything" });
    for (const text of ["All is well", "Gateway connected", "Store in order", "Sidecar answers", "3 quiet"]) {
      await strip.getByText(text).waitFor();
    }
    const failed = await few.submit({ resource: "web", ...TOO_MUCH });
    assert.equal(await ended(few, failed), "failed");
    await strip.getByText("1 resource needs you").waitFor();
    await page.locator('article[data-need="failing"]').waitFor();
    assert.deepEqual(await page.locator("article h2").allInnerTexts(), ["web", "api", "mail"]);

    // It is not the page that remembers it, nor the process.
    const outage = heard.outage(Date.now());
    await few.kill();
    await page.locator(".connection-lost").waitFor();
    await strip.getByText("Gateway away").waitFor();
    await strip.getByText("Sidecar not known").waitFor();
    await picture(page, "gateway-away");
    await few.restart();
    await isLive(page);
    outage.end();
    await page.reload();
    await strip.getByRole("link", { name: "1 failing" }).click();
    await page.waitForURL(/#\/\?need=failing$/);
    assert.deepEqual(await page.locator("article h2").allInnerTexts(), ["web"]);
    await page.getByRole("article", { name: "web" }).getByRole("link", { name: "Last job failed" }).click();

    // The job says what to do, and is tried again with what is mended.
    await badge(page, "Failed");
    await page.locator(".advice", { hasText: "set min and max" }).getByText("sidecar_rejected").waitFor();
    await page.getByRole("link", { name: "Try again" }).click();
    await heading(page, "Scale a resource");
    const value = (label) => page.getByLabel(label, { exact: true }).inputValue();
    assert.deepEqual(await Promise.all(["Resource", "Target capacity", "Step size", "Cooldown", "Reason"].map(value)), ["web", "9", "9", "", "burst"]);
    await page.reload();
    await page.waitForFunction(() => document.querySelector("#amount")?.value === "9");
    await fill(page, { "Target capacity": "3" });
    await page.locator("#amount").press("Enter");
    await page.getByRole("button", { name: "Submit job" }).click();
    await jobShown(page);
    await page.getByRole("button", { name: "Cancel job" }).waitFor();
    await few.cancel(page.url().split("/").at(-1));
    await badge(page, "Canceled");
    await page.goto(`${few.url}/#/`);
    // That says nothing about the resource.
    await strip.getByText("1 resource needs you").waitFor();
    const mended = await few.submit({ resource: "web", targetCapacity: 1 });
    assert.equal(await ended(few, mended), "succeeded");
    await strip.getByText("All is well").waitFor();
    await page.locator('article[data-need="failing"]').waitFor({ state: "detached" });
    await close(page);
    assert.deepEqual(heard.list(), []);
  } finally {
    await few.stop();
  }
});

test("many resources are a table that is searched, sorted and paged", async () => {
  assert.equal(await ended(gateway, await gateway.submit({ resource: "row-58", ...TOO_MUCH })), "failed");
  const job = await gateway.submit({ resource: "row-57", targetCapacity: 3 });
  const page = await open();
  await page.locator('tr[data-resource="row-57"][data-need="unfinished"]').waitFor();
  assert.deepEqual((await column(page, "resource")).slice(0, 4), ["row-58", "row-57", "row-1", "row-2"]);
  await page.locator('tr[data-resource="row-57"]').getByRole("img", { name: /^Capacity of row-57 over 5 min: from 1 to/ }).waitFor();
  await page.locator('tr[data-resource="row-58"]').getByText("Last job failed: the sidecar refused a change").waitFor();

  await page.getByText("1 to 50 of 60").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("51 to 60 of 60").waitFor();
  assert.equal((await column(page, "resource")).at(-1), "row-60");
  // The keyboard is enough.
  await page.getByRole("button", { name: "Resource" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("columnheader", { name: "Resource" }).and(page.locator('[aria-sort="ascending"]')).waitFor();
  assert.deepEqual((await column(page, "resource")).slice(0, 2), ["row-1", "row-2"]);
  await page.getByRole("button", { name: "Capacity" }).click();
  await page.getByRole("searchbox", { name: "Search" }).fill("ROW-5");
  await page.getByText("11 resources").waitFor();
  await page.locator('tr[data-resource="row-57"] .at-capacity', { hasText: "2" }).waitFor();
  await page.waitForFunction(() => document.querySelector(".fleet tbody .at-resource").innerText === "row-57");
  await page.getByRole("searchbox").fill("nothing");
  await page.getByText("No resource matches.").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "State" }).click();
  await page.getByRole("link", { name: "1 unfinished" }).click();
  await page.getByText("1 resource", { exact: true }).waitFor();
  assert.deepEqual(await column(page, "resource"), ["row-57"]);
  await page.getByRole("link", { name: "1 unfinished" }).click();
  await page.getByText("1 to 50 of 60").waitFor();
  await close(page);

  for (const [colorScheme, width, height] of LOOKS) {
    const page = await open("", { width, height, colorScheme });
    await page.locator("tr[data-resource] .spark").first().waitFor();
    await picture(page, `fleet-${colorScheme}-${width}`);
    assert.deepEqual(await page.evaluate(unnamed), []);
    await fits(page, `the table, ${width} wide`);
    await close(page);
  }
  await gateway.cancel(job.id);
});

test("a job in line shows its place, the job ahead, and when the one at work may be over", async () => {
  const first = await gateway.submit({ resource: "row-1", targetCapacity: 3, reason: "morning" });
  const second = await gateway.submit({ resource: "row-1", targetCapacity: 2, onConflict: "queue" });
  const third = await gateway.submit({ resource: "row-1", delta: 2, onConflict: "queue" });
  const page = await open(`#/jobs/${third.id}`);
  const progress = page.getByRole("region", { name: "Progress" });
  await progress.getByText("2nd in line").waitFor();
  await progress.getByText("the job at work over at about").waitFor();
  await picture(page, "job-in-line");
  await progress.getByRole("link", { name: "the job to 2" }).click();
  await page.waitForURL(new RegExp(second.id));
  await progress.getByText("Next in line").waitFor();
  await progress.getByRole("link", { name: "the job 1 → 3" }).click();
  await page.waitForURL(new RegExp(first.id));
  await progress.getByText(/^over at about/).waitFor();

  // The list has the short id, the caller, the time and the reason.
  await page.goto(`${gateway.url}/#/jobs?resource=row-1`);
  await page.getByRole("button", { name: "Unfinished" }).click();
  await page.waitForURL(/resource=row-1&state=queued&state=running$/);
  const row = page.locator(`tr[data-job="${first.id}"]`);
  await row.getByRole("link", { name: first.id.slice(-8) }).waitFor();
  for (const text of ["morning", "no key", /^\d+ s$/]) await row.getByText(text).waitFor();
  await gateway.cancel(second.id);
  await page.locator(`tr[data-job="${second.id}"]`).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Unfinished" }).click();
  await page.locator(`tr[data-job="${second.id}"][data-state="canceled"]`).waitFor();
  for (const id of [third.id, first.id]) await gateway.cancel(id);
  await close(page);
});

test("what the policy does not do because of a job is said on its page", async () => {
  await gateway.putPolicy("row-2", JSON.parse(readFileSync(BAND, "utf8")));
  const page = await open("#/scale?resource=row-2");
  await fill(page, { "Target capacity": "3" });
  await page.locator("#amount").press("Enter");
  await page.getByRole("button", { name: "Submit job" }).click();
  const id = await jobShown(page);
  await page.locator(".notice", { hasText: "Please note" }).waitFor();
  await gateway.cancel(id);
  await close(page);
});

test("while the sidecar is away nothing is estimated, and the cause is told once", async () => {
  const own = await Sidecar.start(SIDECAR);
  const lonely = await Gateway.start(own, GATEWAY, listed(["incomprehensibly-long-name-of-a-resource", "worker"]));
  const heard = new Complaints(lonely.url);
  try {
    const job = await lonely.submit({ resource: "worker", targetCapacity: 3 });
    const page = await open(`#/jobs/${job.id}`, { origin: lonely.url, expected: heard });
    await page.getByText("over at about").waitFor();
    const overview = await open("", { origin: lonely.url, expected: heard, width: 390, height: 844 });
    await overview.locator(".capacity-now", { hasText: /^1$/ }).waitFor();
    await own.kill();
    await overview.getByRole("button", { name: "Read incomprehensibly-long-name-of-a-resource again" }).click();
    const card = overview.getByRole("article", { name: "incomprehensibly" });
    await card.locator(".badge", { hasText: "stale" }).waitFor();
    await overview.getByRole("region", { name: "State of everything" }).getByText("Sidecar does not answer").waitFor();
    assert.equal(await overview.locator(".notice").count(), 1);
    // The name is whole beside all marks.
    assert.ok(await card.locator("h2").evaluate((name) => name.scrollWidth <= name.clientWidth + 1 && name.clientWidth > 100));
    await fits(overview, "an overview with marks");
    await picture(overview, "sidecar-away-390");
    await page.reload();
    await page.getByText("No estimate while the sidecar does not answer").first().waitFor();
    assert.equal(await page.getByText("over at about").count(), 0);
    await Promise.all([close(page), close(overview)]);
    assert.deepEqual(heard.list(), []);
  } finally {
    await lonely.stop();
    await own.stop();
  }
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints.list(), []);
});
