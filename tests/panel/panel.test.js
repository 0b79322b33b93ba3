/**
 * The control panel in a real browser, with the real binary behind it. Nothing here waits for a time to pass: every wait
 * is for something to be seen. SCREENSHOTS names the directory that pictures go to.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Complaints } from "./browser.js";
import { Gateway, Sidecar } from "./gateway.js";
import {
  LOOKS,
  badge,
  close,
  fill,
  fits,
  heading,
  holdAnswers,
  isLive,
  jobShown,
  unnamed,
} from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "600ms", "--start", "1", "--max", "60"];
const GATEWAY = ["--cooldown", "2s", "--settle", "1s", "--poll-interval", "200ms", "--active-timeout", "20s"];
const CONFIGURATION = `
[resources.api]
max = 6
max_step_size = 2
min_cooldown = "1s"
[resources.ingest]
max = 60
cooldown = "1s"
`;

const { browser, sidecar, gateway, complaints, open, picture } = await stage({ simulate: SIDECAR, serve: GATEWAY });

/** Fills in the form, looks at the plan, and submits. Returns the job's id. */
async function submit(page, alias, target, fields = {}) {
  await page.goto(`${gateway.url}/#/scale?resource=${alias}`);
  await heading(page, "Scale a resource");
  await fill(page, { "Target capacity": String(target), ...fields });
  await page.locator("#amount").press("Enter");
  await page.locator(".plan-goal").waitFor();
  await page.getByRole("button", { name: "Submit job" }).click();
  return jobShown(page);
}

test("an empty panel teaches the first job", async () => {
  const page = await open();
  await heading(page, "Nothing has been scaled yet");
  await isLive(page);
  assert.match(await page.locator("pre").first().innerText(), new RegExp(`curl -sS -w '\\\\n' ${gateway.url}/v1/jobs`));
  await page.getByRole("link", { name: "Submit the first job" }).click();
  await heading(page, "Scale a resource");
  await close(page);
});

test("a job is planned, submitted, and seen to its end", async () => {
  const page = await open("#/scale");
  await fill(page, { Resource: "worker", "Target capacity": "3", Reason: "queue depth 812" });
  await page.locator("#amount").press("Enter");
  await page.locator(".plan-goal", { hasText: "1 → 3 in 2 steps" }).waitFor();
  assert.equal(await page.locator(".plan .steps tbody tr").count(), 2);
  assert.deepEqual((await gateway.get("/v1/jobs")).jobs, [], "the plan alone submits nothing");

  // A plan is for what it was made for.
  await fill(page, { "Step size": "2" });
  await page.getByText("Shows the steps").waitFor();
  await fill(page, { "Step size": "" });
  await page.locator("#amount").press("Enter");
  await page.getByRole("button", { name: "Submit job" }).click();

  const id = await jobShown(page);
  await badge(page, "Running");
  await page.getByText("queue depth 812").waitFor();
  await page.locator(".waiting").waitFor();
  await page.locator('.steps [class*="tone-good"]', { hasText: "Confirmed" }).first().waitFor();
  await page.locator(".waiting", { hasText: "Waits for the cooldown" }).waitFor();
  await page.locator(".progress[aria-valuenow='50']").waitFor();
  await badge(page, "Succeeded");
  await page.locator(".summary", { hasText: "Reached 3" }).waitFor();
  assert.equal(await page.locator(".steps tbody tr").count(), 2);
  await page.locator(".plot canvas").waitFor();

  // The list and the card know as well.
  await page.getByRole("link", { name: "Resources" }).click();
  await page.locator(`tr[data-job="${id}"][data-state="succeeded"]`).waitFor();
  await page.getByRole("article", { name: "worker" }).locator(".capacity-now", { hasText: /^3$/ }).waitFor();
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was loaded once");
  await close(page);
});

test("a job is canceled, after a question", async () => {
  const page = await open();
  await isLive(page);
  const id = await submit(page, "canceled", 5);
  await badge(page, "Running");
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep the job" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Cancel job", "the focus is where it was");
  assert.equal((await gateway.get(`/v1/jobs/${id}`)).endingAs, null, "keeping is not canceling");
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click();
  await badge(page, "Canceled");
  assert.equal((await gateway.get(`/v1/jobs/${id}`)).state, "canceled");
  await close(page);
});

test("refusals are shown in words, with a way on", async () => {
  const page = await open();
  await isLive(page);
  const id = await submit(page, "busy", 4, { "Cooldown": "30" });
  const refusal = page.locator(".plan .notice");

  await page.goto(`${gateway.url}/#/scale?resource=busy`);
  await fill(page, { "Target capacity": "9" });
  complaints.expectAnswer("/v1/plans", 409);
  await page.locator("#amount").press("Enter");
  await refusal.getByText("The resource has an unfinished job").waitFor();
  assert.match(await refusal.getByRole("link", { name: "Open the other job" }).getAttribute("href"), new RegExp(id));
  await refusal.getByRole("button", { name: "Queue instead" }).click();
  await page.locator(".plan-goal", { hasText: "4 → 9" }).waitFor();
  // One that another job got in the way of is not submitted.
  const between = await gateway.submit({ resource: "busy", targetCapacity: 7, onConflict: "queue" });
  await page.getByText("This plan is out of date").waitFor();
  await page.getByRole("button", { name: "Show a new plan" }).click();
  await page.getByText("This plan is out of date").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Submit job" }).click();
  const queued = await jobShown(page);
  await badge(page, "Queued");

  // What is wrong with a field stands beside it.
  await page.goto(`${gateway.url}/#/scale?resource=busy`);
  await fill(page, { "Target capacity": "4", "Step size": "0" });
  complaints.expectAnswer("/v1/plans", 422);
  await page.locator("#amount").press("Enter");
  await page.locator("#stepSize-wrong").waitFor();
  assert.equal(await page.locator("#stepSize").getAttribute("aria-invalid"), "true");
  assert.ok(await page.locator("#stepSize").evaluate((field) => field === document.activeElement));
  // What the panel itself can tell is not sent at all.
  await fill(page, { "Step size": "many" });
  await page.locator("#amount").press("Enter");
  await page.locator("#stepSize-wrong", { hasText: "Enter a whole number" }).waitFor();

  // What is wrong out of sight is shown, and stays so while it is mended.
  const settle = page.getByLabel("Settle", { exact: true });
  assert.equal(await settle.isVisible(), false);
  await settle.evaluate((field) => {
    field.value = "soon";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await fill(page, { "Step size": "" });
  await page.locator("#amount").press("Enter");
  await page.locator("#settleSeconds-wrong", { hasText: "Enter a duration such as 90 s, 5 min or 1h30m" }).waitFor();
  await settle.fill("1");
  await page.locator("#settleSeconds-wrong").waitFor({ state: "detached" });
  await settle.fill("");
  assert.ok(await settle.isVisible());

  // A plan that comes when the form says something else already is for nothing.
  const { release } = await holdAnswers(page, "**/v1/plans");
  await fill(page, { Resource: "other", "Target capacity": "2", "Step size": "" });
  await page.locator("#amount").press("Enter");
  await page.getByRole("button", { name: "Planning…" }).waitFor();
  await fill(page, { "Target capacity": "3" });
  release();
  await page.getByRole("button", { name: "Show plan" }).waitFor();
  assert.equal(await page.locator(".plan-goal").count(), 0);

  await page.goto(`${gateway.url}/#/jobs/${id}`);
  for (const one of [queued, between.id, id]) await fetch(`${gateway.url}/v1/jobs/${one}/cancel`, { method: "POST" });
  await badge(page, "Canceled");
  await close(page);
});

test("times have a zone, and are shown in UTC to a reader who wants that", async () => {
  const { id, createdAt } = await gateway.submit({ resource: "zoned", targetCapacity: 1 });
  const page = await open(`#/jobs/${id}`, { timezoneId: "Asia/Tokyo" });
  const submitted = page.locator(".fact", { hasText: "Submitted" }).first().locator("time");
  const clock = (timeZone) => new Date(createdAt).toLocaleTimeString("en-GB", { timeZone });
  const show = (zone) => page.getByRole("button", { name: `Show ${zone}` }).click();
  await submitted.getByText(clock("Asia/Tokyo")).waitFor();
  await page.getByText("Times in Asia/Tokyo, UTC+9").waitFor();
  await show("UTC");
  await submitted.getByText(clock("UTC")).waitFor();
  await page.reload();
  await page.getByText("Times in UTC").waitFor();
  await submitted.getByText(clock("UTC")).waitFor();
  await show("Asia/Tokyo");
  await submitted.getByText(clock("Asia/Tokyo")).waitFor();

  // What is being filled in stays.
  await page.goto(`${gateway.url}/#/scale?resource=zoned`);
  await fill(page, { "Target capacity": "3", Reason: "half a word" });
  await page.locator(".plan time").first().waitFor();
  await show("UTC");
  await page.getByText("Times in UTC").waitFor();
  // All at one moment: the plan is made anew now and then.
  const times = await page.locator(".plan time").evaluateAll((all) => all.map((time) => [time.innerText, time.dateTime.slice(11, 19)]));
  assert.notEqual(times.length, 0);
  for (const [shown, time] of times) assert.ok(shown.endsWith(time), `${shown}, not ${time}`);
  const value = (label) => page.getByLabel(label, { exact: true }).inputValue();
  assert.deepEqual(await Promise.all(["Resource", "Target capacity", "Reason"].map(value)), ["zoned", "3", "half a word"]);
  await close(page);
});

test("the plan follows what is typed, and says which jobs end", async () => {
  const going = await gateway.submit({ resource: "typing", targetCapacity: 4, cooldownSeconds: 60 });
  const page = await open("#/scale?resource=typing");
  await page.locator("#amount-hint", { hasText: /^now/ }).waitFor();
  await page.getByRole("button", { name: "Show plan" }).click();
  await page.locator("#amount-wrong", { hasText: "Enter a target" }).waitFor();
  await page.getByText("all unfinished jobs of the resource end").click();
  await page.getByText("It ends a job").waitFor();
  assert.match(await page.locator(".ends a").getAttribute("href"), new RegExp(going.id));
  await fill(page, { "Target capacity": "5", Cooldown: "1h30m" });
  await page.locator(".plan-view", { hasText: "cooldown 1 h 30 min" }).waitFor();
  await page.getByRole("img", { name: /^Capacity from \d to 5, / }).waitFor();
  assert.ok(await page.locator("#cooldownSeconds").evaluate((field) => field === document.activeElement), "typing goes on");
  // A plan that came by itself is not submitted by the key that asks for one.
  await page.locator("#amount").press("Enter");
  assert.ok(await page.getByRole("heading", { name: "Plan" }).evaluate((one) => one === document.activeElement));
  assert.equal((await gateway.get("/v1/jobs?resource=typing")).jobs.length, 1);
  await picture(page, "scale-supersede");
  await gateway.cancel(going.id);
  await close(page);
});

test("a submission whose answer was lost is sent again as the same", async () => {
  const page = await open();
  await isLive(page);
  const keys = [];
  // The gateway gets it; the first answer never arrives.
  await page.route("**/v1/jobs", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    const answer = await route.fetch();
    if (keys.length > 1) return route.fulfill({ response: answer });
    complaints.expectFailure("/v1/jobs");
    return route.abort("connectionreset");
  });
  await page.goto(`${gateway.url}/#/scale?resource=lost`);
  await page.getByText("by a difference").click();
  await fill(page, { "Units to add or remove": "+1" });
  await page.locator("#amount").press("Enter");
  await page.getByRole("button", { name: "Submit job" }).click();
  const id = await jobShown(page);
  assert.equal(keys.length, 2);
  assert.ok(keys[0] && keys[0] === keys[1], "one key for both");
  const { jobs } = await gateway.get("/v1/jobs?resource=lost");
  assert.deepEqual(
    jobs.map((job) => job.id),
    [id],
    "one job",
  );
  await badge(page, "Succeeded");
  await close(page);
});

test("the link of a job works in a fresh page, and says if there is no such job", async () => {
  const job = await gateway.submit({ resource: "linked", targetCapacity: 2, labels: { team: "data" } });
  const page = await open(`#/jobs/${job.id}`);
  await heading(page, /^linked/);
  await page.getByText("Label team").waitFor();
  await badge(page, "Succeeded");
  await close(page);

  const nowhere = "01900000-0000-7000-8000-000000000000";
  complaints.expectAnswer(`/v1/jobs/${nowhere}`, 404);
  const lost = await open(`#/jobs/${nowhere}`);
  await heading(lost, "There is no such job");
  await lost.getByRole("link", { name: "To the jobs" }).click();
  await heading(lost, "Jobs");
  await close(lost);
});

test("what others write is text and nothing else", async () => {
  const markup =
    '<img src="/panel/icon.svg" id="injected" onerror="window.injected = true"><script>window.injected = true</script>';
  const job = await gateway.submit({
    resource: "markup",
    targetCapacity: 1,
    reason: markup,
    labels: { "<b>": markup },
  });
  const page = await open(`#/jobs/${job.id}`);
  await page.locator(".reason", { hasText: markup }).waitFor();
  await page.goto(`${gateway.url}/#/resources/markup`);
  await page.locator(".timeline-detail", { hasText: markup }).waitFor();
  await page.goto(`${gateway.url}/#/resources/${encodeURIComponent("<b id=injected>")}`);
  await heading(page, "<b id=injected>");
  complaints.expectAnswer("/v1/resources/%3Cb%20id%3Dinjected%3E", 422);
  complaints.expectAnswer("/v1/resources/%3Cb%20id%3Dinjected%3E/timeline?pageSize=200", 422);
  complaints.expectAnswer("/v1/jobs?pageSize=50&resource=%3Cb+id%3Dinjected%3E", 422);
  await page.locator(".notice").waitFor();
  assert.equal(await page.locator("#injected").count(), 0);
  assert.equal(await page.evaluate(() => window.injected), undefined);
  await close(page);
});

test("a page out of sight lets go of its stream, and takes it up again", async () => {
  const context = await browser.newContext();
  await complaints.listenTo(context);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(gateway.url);
  const phase = (name) =>
    page.waitForFunction(
      (name) => {
        return document.querySelector(".connection")?.dataset.phase === name;
      },
      name,
      { polling: 50 },
    );
  const show = (isHidden) =>
    page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  await phase("open");
  await show(true);
  await page.clock.runFor(61_000);
  await phase("stopped");
  const job = await gateway.submit({ resource: "unseen", targetCapacity: 1 });
  await show(false);
  await phase("open");
  await page.locator(`tr[data-job="${job.id}"]`).waitFor();
  await close(page);
});

test("a page that was never in sight lets go of its stream as well", async () => {
  const context = await browser.newContext();
  await complaints.listenTo(context);
  const page = await context.newPage();
  await page.addInitScript(() => Object.defineProperty(document, "hidden", { value: true }));
  await page.clock.install();
  await page.goto(gateway.url);
  const phase = (name) => page.waitForFunction(
    (name) => document.querySelector(".connection")?.dataset.phase === name, name, { polling: 50 });
  await phase("open");
  await page.clock.runFor(61_000);
  await phase("stopped");
  await close(page);
});

test("the list is filtered, and the filter is part of the address", async () => {
  const page = await open("#/jobs");
  await page.locator("tr[data-job]").first().waitFor();
  await page.getByRole("button", { name: "Canceled" }).click();
  await page.waitForURL(/#\/jobs\?state=canceled$/);
  await page.locator('tr[data-state="succeeded"]').first().waitFor({ state: "detached" });
  await page.locator('tr[data-state="canceled"]').first().waitFor();
  await page.getByLabel("Resource").selectOption("worker");
  await page.getByText("No job matches").waitFor();
  await page.getByRole("link", { name: "Show all jobs" }).click();
  await page.locator('tr[data-state="succeeded"]').first().waitFor();
  await close(page);
});

test("a job is submitted with the keyboard alone", async () => {
  const page = await open();
  await isLive(page);
  const { keyboard } = page;
  const focused = () =>
    page.evaluate(() => {
      const { activeElement: element } = document;
      return element.labels?.[0]?.innerText ?? element.getAttribute("aria-label") ?? element.innerText;
    });
  const tabTo = async (name) => {
    for (let tries = 0; tries < 60; tries += 1) {
      await keyboard.press("Tab");
      if ((await focused()).trim() === name) return;
    }
    assert.fail(`${name} cannot be reached`);
  };
  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await tabTo("Scale");
  await keyboard.press("Enter");
  await heading(page, "Scale a resource");
  await tabTo("Resource");
  await keyboard.type("typed");
  await tabTo("Target capacity");
  await keyboard.type("2");
  await keyboard.press("Enter");
  await page.locator(".plan-goal").waitFor();
  assert.equal(await focused(), "Plan", "the focus is where the news is");
  await tabTo("Submit job");
  await keyboard.press("Enter");
  const id = await jobShown(page);
  await badge(page, "Succeeded");
  assert.equal((await gateway.get(`/v1/jobs/${id}`)).resource, "typed");
  // The dialog holds the focus, and Escape leaves it.
  const again = await submit(page, "typed", 8);
  await badge(page, "Running");
  await tabTo("Cancel job");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  assert.equal(await focused(), "Keep the job");
  await keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(), "Cancel job");
  await fetch(`${gateway.url}/v1/jobs/${again}/cancel`, { method: "POST" });
  await close(page);
});

test("what others do is seen without being asked for", async () => {
  const page = await open("#/resources/shared");
  await isLive(page);
  const overview = await open();
  await isLive(overview);
  const job = await gateway.submit({ resource: "shared", targetCapacity: 3 });
  await overview.locator(`tr[data-job="${job.id}"][data-state="running"]`).waitFor();
  await overview
    .getByRole("article", { name: "shared" })
    .locator(".cooldown", { hasText: /Cooldown \d/ })
    .waitFor();
  // Before that it may be taken for what the change did.
  await page.locator(".timeline-kind", { hasText: "Change resolved" }).first().waitFor();
  await sidecar.setCapacity("shared", 1);
  await page.locator(".timeline-kind", { hasText: "Changed by others" }).first().waitFor();
  await overview.locator(`tr[data-job="${job.id}"][data-state="succeeded"]`).waitFor();
  await page.locator(".timeline-kind", { hasText: "Job ended" }).first().waitFor();
  for (const one of [page, overview]) assert.ok(await one.evaluate(() => window.notReloaded));
  await Promise.all([close(page), close(overview)]);
});

test("a job that ends while the list is on its way is not shown as it was before", async () => {
  const earlier = await gateway.submit({ resource: "overtaken", targetCapacity: 1 });
  const page = await open();
  await page.locator(`tr[data-job="${earlier.id}"][data-state="succeeded"]`).waitFor();
  const job = await gateway.submit({ resource: "overtaken", targetCapacity: 9 });
  const { answered, release } = await holdAnswers(page, "**/v1/jobs?*");
  await page.reload();
  await answered;
  await gateway.cancel(job.id);
  const ended = page.locator(`tr[data-job="${job.id}"][data-state="canceled"]`);
  await ended.waitFor();
  release();
  // Only the list tells of this one.
  await page.locator(`tr[data-job="${earlier.id}"]`).waitFor();
  assert.equal(await ended.count(), 1);
  await close(page);
});

test("an answer that was overtaken by a newer one is not shown", async () => {
  // So few resources are cards, however many the other tests have made.
  const few = await Gateway.start(sidecar, GATEWAY);
  const heard = new Complaints(few.url);
  try {
    const page = await open("", { origin: few.url, expected: heard });
    await isLive(page);
    const { answered, release } = await holdAnswers(page, "**/v1/resources", { times: 1 });
    const { id } = await few.submit({ resource: "outrun", targetCapacity: 9 });
    await answered;
    const card = page.getByRole("article", { name: "outrun" });
    await card.locator(".doing-job").waitFor();
    await few.cancel(id);
    await card.locator(".doing-job").waitFor({ state: "detached" });
    const late = page.waitForResponse((response) => response.url().endsWith("/v1/resources"));
    release();
    await (await late).finished();
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    assert.equal(await card.locator(".doing-job").count(), 0);
    await close(page);
    assert.deepEqual(heard.list(), []);
  } finally {
    await few.stop();
  }
});

test("a killed gateway is noticed, and so is its return", async () => {
  const page = await open();
  await isLive(page);
  const id = await submit(page, "crash", 4);
  await page.locator('.steps [class*="tone-good"]', { hasText: "Confirmed" }).first().waitFor();
  const begin = Date.now();
  const outage = complaints.outage(begin);
  await gateway.kill();
  await page.locator(".connection-lost", { hasText: "The connection to the gateway is lost." }).waitFor();
  await page.locator('.connection:not([data-phase="open"])', { hasText: "Offline" }).waitFor();
  await picture(page, "connection-lost");
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/events"));
  await gateway.restart();
  await page.locator(".connection-lost").waitFor({ state: "detached" });
  assert.match((await asked).headers()["last-event-id"], /^\d+$/, "it goes on where it was");
  await isLive(page);
  outage.end();
  await badge(page, "Succeeded");
  assert.equal(await page.locator(".steps tbody tr").count(), 3);
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was loaded once");
  assert.equal((await gateway.get(`/v1/jobs/${id}`)).state, "succeeded");
  await close(page);
});

test("what could not be read while the gateway was away is read when it is back", async () => {
  const own = await Gateway.start(sidecar, GATEWAY, "[resources.away]\n[resources.never]\n");
  const heard = new Complaints(own.url);
  try {
    const job = await own.submit({ resource: "away", targetCapacity: 2 });
    const shown = await open("", { origin: own.url, expected: heard });
    await shown.locator(`tr[data-job="${job.id}"][data-state="succeeded"]`).waitFor();
    await shown.getByRole("article", { name: "away" }).locator(".capacity-now", { hasText: /^2$/ }).waitFor();
    const other = await open("", { origin: own.url, expected: heard });
    const listing = await open("", { origin: own.url, expected: heard });
    for (const page of [other, listing]) await page.locator(`tr[data-job="${job.id}"]`).waitFor();
    const outage = heard.outage(Date.now());
    await own.kill();
    await other.goto(`${own.url}/#/resources/unheard`);
    await other.getByText("Not read, see above.").first().waitFor();
    await listing.goto(`${own.url}/#/jobs?state=succeeded`);
    await listing.getByText("Not read, see above.").waitFor();
    assert.equal(await listing.locator(".notice").count(), 1, "one cause is told once");
    await sidecar.setCapacity("away", 9);
    await own.restart();
    await Promise.all([shown, other, listing].map(isLive));
    outage.end();
    await other.locator(".capacity-now", { hasText: /^1$/ }).waitFor();
    await other.getByText("No jobs.").waitFor();
    await other.getByText("Nothing has happened yet.").last().waitFor();
    assert.equal(await other.locator("main .notice").count(), 0);
    await listing.locator(`tr[data-job="${job.id}"]`).waitFor();
    assert.equal(await listing.locator("main .notice").count(), 0);
    // The gateway that was started again has no reading yet; the card does not stay with the old one.
    await shown.getByRole("article", { name: "away" }).locator(".capacity-now", { hasText: /^9$/ }).waitFor();
    await Promise.all([shown, other, listing].map(close));
    assert.deepEqual(heard.list(), []);
  } finally {
    await own.stop();
  }
});

test("a sidecar that answers again is noticed on the overview", async () => {
  const own = await Sidecar.start(SIDECAR);
  const watched = await Gateway.start(own, GATEWAY, "[resources.worker]\n");
  const page = await browser.newPage();
  try {
    await page.clock.install();
    await page.goto(watched.url);
    const card = page.getByRole("article", { name: "worker" });
    await card.locator(".capacity-now", { hasText: /^1$/ }).waitFor();
    await own.kill();
    await page.getByRole("button", { name: "Read worker again" }).click();
    // The banner tells why, once; the card only that it is old.
    await page.locator(".banners").getByText("The sidecar does not answer").waitFor();
    await card.locator(".badge", { hasText: "stale" }).waitFor();
    assert.equal(await card.getByText("The last reading failed").count(), 0);
    await own.restart();
    await page.clock.fastForward(21_000);
    await page.locator(".banners").getByText("The sidecar does not answer").waitFor({ state: "detached" });
    await card.locator(".badge", { hasText: "stale" }).waitFor({ state: "detached" });
  } finally {
    await page.close();
    await watched.stop();
    await own.stop();
  }
});

test("a sidecar that does not answer is mentioned", async () => {
  const own = await Sidecar.start(SIDECAR);
  const lonely = await Gateway.start(own, GATEWAY, "[resources.worker]\nmax = 6\n");
  const heard = new Complaints(lonely.url);
  try {
    const page = await open("#/resources/worker", { origin: lonely.url, expected: heard });
    await page.locator(".capacity-now", { hasText: /^1$/ }).waitFor();
    await own.kill();
    await page.getByRole("button", { name: "Read worker again" }).click();
    await page.locator(".banners").getByText("The sidecar does not answer").waitFor();
    await page.locator(".heading .badge", { hasText: "stale" }).waitFor();
    assert.equal(await page.locator(".notice").count(), 1, "one cause is told once");
    await picture(page, "sidecar-lost");
    // A plan needs a reading; the refusal says why there is none.
    heard.expectAnswer("/v1/plans", 502);
    await page.goto(`${lonely.url}/#/scale?resource=worker`);
    await fill(page, { "Target capacity": "3" });
    await page.locator("#amount").press("Enter");
    await page.locator(".plan .notice", { hasText: "The sidecar gives no reading" }).waitFor();
    await close(page);
    assert.deepEqual(heard.list(), []);
  } finally {
    await lonely.stop();
    await own.stop();
  }
});

test("what the operator lets jobs ask for is shown before and after it is refused", async () => {
  const bound = await Gateway.start(sidecar, GATEWAY, CONFIGURATION);
  const heard = new Complaints(bound.url);
  try {
    const page = await open("#/scale?resource=api", { origin: bound.url, expected: heard });
    await page.locator("#stepSize-hint", { hasText: "most units changed in one step; at most 2 here" }).waitFor();
    await page.locator("#cooldownSeconds-hint", { hasText: "least time between two changes; at least 1 s here" }).waitFor();
    await fill(page, { "Target capacity": "4", "Step size": "3", "Cooldown": "0.5" });
    heard.expectAnswer("/v1/plans", 422);
    await page.locator("#amount").press("Enter");
    await page.locator("#stepSize-wrong", { hasText: "must be at most 2 here" }).waitFor();
    await page.locator("#cooldownSeconds-wrong", { hasText: "must be at least 1 second here" }).waitFor();
    await page.goto(`${bound.url}/#/resources/api`);
    await page.getByRole("region", { name: "Settings" }).getByText("1, at most 2").waitFor();
    await close(page);
    assert.deepEqual(heard.list(), []);
  } finally {
    await bound.stop();
  }
});

test("every page looks as it should, light and dark, wide and narrow", async () => {
  const drawn = await Gateway.start(sidecar, GATEWAY, CONFIGURATION);
  const heard = new Complaints(drawn.url);
  try {
    const over = await drawn.submit({
      resource: "ingest",
      targetCapacity: 40,
      stepSize: 20,
      reason: "morning load",
      labels: { team: "data" },
    });
    const going = await drawn.submit({
      resource: "api",
      targetCapacity: 5,
      reason: "queue depth 2,411 and growing",
      cooldownSeconds: 20,
    });
    await drawn.submit({ resource: "api", targetCapacity: 2, onConflict: "queue" });
    const word = "incomprehensibilities".repeat(6);
    const long = await drawn.submit({
      resource: word,
      delta: 1,
      reason: word.repeat(3),
      labels: { [word.slice(0, 63)]: word },
    });
    const waiting = await open(`#/jobs/${over.id}`, { origin: drawn.url, expected: heard });
    await badge(waiting, "Succeeded");
    await waiting.goto(`${drawn.url}/#/jobs/${going.id}`);
    await waiting.locator(".waiting", { hasText: "Waits for the cooldown" }).waitFor();
    await close(waiting);

    const plan = async (page, target) => {
      await fill(page, { "Target capacity": target });
      await page.locator("#amount").press("Enter");
    };
    const pages = {
      resources: ["", (page) => page.locator(".plot canvas").nth(1).waitFor()],
      resource: ["#/resources/api", (page) => page.locator(".plot canvas").waitFor()],
      jobs: ["#/jobs", (page) => page.locator("tr[data-job]").nth(3).waitFor()],
      "job-running": [`#/jobs/${going.id}`, (page) => page.locator(".plot canvas").waitFor()],
      "job-over": [`#/jobs/${over.id}`, (page) => page.locator(".plot canvas").waitFor()],
      "job-long": [`#/jobs/${long.id}`, (page) => page.locator(".reason").waitFor()],
      "resource-long": [`#/resources/${word}`, (page) => page.locator(".timeline li").first().waitFor()],
      "job-missing": ["#/jobs/01900000-0000-7000-8000-000000000000", (page) => heading(page, "There is no such job")],
      plan: [
        "#/scale?resource=ingest",
        async (page) => {
          await plan(page, "45");
          await page.locator(".plan-goal").waitFor();
        },
      ],
      refusal: [
        "#/scale?resource=api",
        async (page) => {
          heard.expectAnswer("/v1/plans", 409);
          await plan(page, "1");
          await page.locator(".plan .notice").waitFor();
        },
      ],
      nowhere: ["#/nothing/here", (page) => heading(page, "There is no such page")],
    };
    for (const [colorScheme, width, height] of LOOKS) {
      const page = await open("", { width, height, colorScheme, origin: drawn.url, expected: heard });
      await isLive(page);
      for (const [name, [hash, isReady]] of Object.entries(pages)) {
        if (name === "job-missing") heard.expectAnswer("/v1/jobs/01900000-0000-7000-8000-000000000000", 404);
        await page.goto(`${drawn.url}/${hash}`);
        await isReady(page);
        await picture(page, `${name}-${colorScheme}-${width}`);
        assert.deepEqual(await page.evaluate(unnamed), [], `${name} at ${width}`);
        await fits(page, name);
      }
      await close(page);
    }
    assert.deepEqual(heard.list(), []);
  } finally {
    await drawn.stop();
  }
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints.list(), []);
});
