/**
 * A gateway that wants API keys, in a real browser: the panel asks for one, keeps it in its tab and nowhere else, and shows
 * nothing to a reader who has none.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Complaints, launch } from "./browser.js";
import { Gateway, Sidecar } from "./gateway.js";
import {
  LOOKS,
  another,
  badge,
  close,
  fill,
  fits,
  heading,
  isLive,
  jobShown,
  openPage,
  picturesIn,
  takePicture,
  unnamed,
} from "./page.js";

const SIDECAR = ["--provisioning", "300ms", "--start", "1", "--max", "60"];
const GATEWAY = ["--cooldown", "1s", "--settle", "500ms", "--poll-interval", "200ms", "--active-timeout", "20s"];
const CONFIGURATION = "[resources.api]\nmax = 6\n[resources.ingest]\nmax = 60\n";

let screenshots;
let sidecar;
let gateway;
let browser;
let complaints;
/** One of each scope, and one that this gateway has not made. */
const keys = {};

before(async () => {
  screenshots = await picturesIn();
  browser = await launch();
  sidecar = await Sidecar.start(SIDECAR);
  gateway = await Gateway.start(sidecar, GATEWAY, CONFIGURATION);
  await gateway.close();
  keys.admin = gateway.adminKey;
  keys.scale = (await gateway.makeKey({ name: "queue watcher", scope: "scale" })).secret;
  keys.read = (await gateway.makeKey({ name: "dashboard", scope: "read" })).secret;
  const another = await Gateway.start(sidecar, GATEWAY);
  await another.close();
  keys.strange = another.adminKey;
  await another.stop();
  complaints = new Complaints(gateway.url);
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  await sidecar?.stop();
});

const idOf = (key) => key.slice(3, 13);
const picture = (page, name) => takePicture(page, screenshots, name);

/** Opens a page that will be asked for a key. */
async function openLocked(hash = "", look = {}) {
  complaints.expectAnswer("/v1/events", 401);
  const page = await openPage(browser, `${gateway.url}/${hash}`, { expected: complaints, ...look });
  await asks(page);
  return page;
}

const asks = (page) => heading(page, "This gateway wants an API key");

async function enter(page, key) {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Use this key" }).click();
}

async function openWith(key, hash = "", look = {}) {
  const page = await openLocked(hash, look);
  await enter(page, key);
  await isLive(page);
  return page;
}

/** Everything a page keeps, and its address. */
const kept = (page) =>
  page.evaluate(() => ({
    session: { ...sessionStorage },
    local: { ...localStorage },
    cookies: document.cookie,
    address: location.href + document.referrer,
    history: JSON.stringify(history.state),
  }));

/** No word of what is behind the key, nowhere in the document. */
async function showsNothing(page, ...words) {
  const shown = await page.evaluate(() => document.documentElement.outerHTML + document.title);
  for (const word of ["ingest", "data-job", "<canvas", "operator", ...words]) {
    assert.ok(!shown.includes(word), `${word} is shown:\n${shown}`);
  }
}

test("nothing is shown before a key was entered, and a wrong one is refused in words", async () => {
  const context = await browser.newContext();
  await complaints.listenTo(context);
  complaints.expectAnswer("/v1/events", 401);
  const asked = [];
  context.on("request", (request) => asked.push(request));
  // Everything that was ever drawn, for however short a time.
  await context.addInitScript(() => {
    window.drawn = new Set();
    new MutationObserver(() => {
      for (const heading of document.querySelectorAll("h1, h2, .connection, nav, .button")) window.drawn.add(heading.innerText);
    }).observe(document, { childList: true, subtree: true, characterData: true });
  });
  const page = await another(context, `${gateway.url}/#/resources/ingest`);
  await asks(page);
  assert.ok(await page.getByLabel("API key").evaluate((field) => field === document.activeElement));
  assert.deepEqual(await page.evaluate(() => [...window.drawn]), ["This gateway wants an API key"], "nothing flashes");
  await showsNothing(page);
  assert.deepEqual(
    asked.filter((request) => request.url().includes("/v1/")).map((request) => new URL(request.url()).pathname),
    ["/v1/events"],
    "one question is enough to know",
  );
  const field = page.getByLabel("API key");
  assert.deepEqual(
    await field.evaluate((field) => [field.type, field.autocomplete, field.form.method]),
    ["password", "off", "get"],
  );

  // What cannot be a key is not sent.
  for (const [text, words] of [
    ["", "Enter a key."],
    ["secret", "one begins with sg_"],
    [keys.strange.slice(0, 40), "It may have been cut off."],
    [`${keys.strange.slice(0, -1)}é`, "only letters and digits"],
  ]) {
    await enter(page, text);
    await page.locator(".field-wrong", { hasText: words }).waitFor();
  }
  complaints.expectAnswer("/v1/resources", 401);
  await enter(page, keys.strange);
  await page.locator(".notice", { hasText: "There is no such API key. Enter another one." }).waitFor();
  assert.deepEqual((await kept(page)).session, {}, "a key that is not good is not kept");
  const expiring = await gateway.makeKey({ name: "short", scope: "read", expiresInSeconds: 1 });
  await page.waitForFunction((end) => Date.now() > end, Date.parse(expiring.key.expiresAt) + 50);
  complaints.expectAnswer("/v1/resources", 401);
  await enter(page, expiring.secret);
  await page.locator(".notice", { hasText: "has expired. Enter another one." }).waitFor();
  await showsNothing(page, expiring.secret);

  // As it comes from a terminal or a document.
  await enter(page, `  Bearer ${keys.scale} `);
  await heading(page, "ingest");
  await isLive(page);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1", "the focus is where the news is");
  const { session, ...elsewhere } = await kept(page);
  assert.deepEqual(Object.values(session), [keys.scale]);
  const { cookies } = await context.storageState();
  assert.ok(!JSON.stringify([elsewhere, cookies, asked.map((request) => request.url())]).includes(idOf(keys.scale)));
  const since = asked.filter((request) => request.headers().authorization === `Bearer ${keys.scale}`);
  const paths = new Set(since.map((request) => new URL(request.url()).pathname));
  for (const path of ["/v1/events", "/v1/resources", "/v1/resources/ingest", "/v1/jobs"]) assert.ok(paths.has(path), path);

  // It is there after a reload, but not in another tab.
  await page.reload();
  await isLive(page);
  complaints.expectAnswer("/v1/events", 401);
  await asks(await another(context, gateway.url));
  await context.close();
});

test("a key to scale scales, and the job says who", async () => {
  const page = await openWith(keys.scale, "#/scale?resource=ingest");
  await fill(page, { "Target capacity": "2" });
  await page.locator("#amount").press("Enter");
  await page.locator(".plan-goal").waitFor();
  await page.getByRole("button", { name: "Submit job" }).click();
  await jobShown(page);
  await badge(page, "Succeeded");
  const fact = (name) => page.locator(".fact", { has: page.getByText(name, { exact: true }) });
  await fact("Submitted by").getByText(`queue watcher ${idOf(keys.scale)}`).waitFor();
  assert.equal(await fact("Canceled by").count(), 0);

  const { id } = await gateway.submit({ resource: "ingest", targetCapacity: 30, cooldownSeconds: 60 });
  await page.goto(`${gateway.url}/#/jobs/${id}`);
  await fact("Submitted by").getByText("operator").waitFor();
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click();
  await fact("Canceled by").getByText("queue watcher").waitFor();
  await close(page);
});

test("what a key to look does not allow is off, and says why", async () => {
  const { id } = await gateway.submit({ resource: "api", targetCapacity: 5, cooldownSeconds: 60 });
  const page = await openWith(keys.read, `#/jobs/${id}`);
  const why = "The key of this tab cancels no jobs: that takes one with the scope scale.";
  await page.getByText(why).waitFor();
  const cancel = page.getByRole("button", { name: "Cancel job", description: why });
  assert.ok(await cancel.isDisabled());
  assert.equal(await cancel.getAttribute("title"), why);

  // Plans need no more than a key.
  await page.goto(`${gateway.url}/#/scale?resource=ingest`);
  await page.getByText("The key of this tab submits no jobs").waitFor();
  await fill(page, { "Target capacity": "3" });
  await page.locator("#amount").press("Enter");
  await page.locator(".plan-goal").waitFor();
  assert.ok(await page.getByRole("button", { name: "Submit job" }).isDisabled());
  const access = page.getByRole("link", { name: "Access", disabled: true });
  assert.match(await access.getAttribute("title"), /scope admin/);
  assert.equal(await access.getAttribute("href"), null);
  complaints.expectAnswer("/v1/keys", 403);
  await page.goto(`${gateway.url}/#/access`);
  await page.getByText("This page is for admins").waitFor();
  await page.getByRole("link", { name: "Plan", exact: true }).click();
  await heading(page, "Scale a resource");
  await close(page);
  await gateway.cancel(id);
});

test("a key for some resources shows these and no others", async () => {
  const { secret } = await gateway.makeKey({ name: "api only", scope: "read", resources: ["api"] });
  const page = await openWith(secret);
  await page.getByRole("article", { name: "api" }).waitFor();
  assert.equal(await page.getByRole("article").count(), 1);
  assert.ok(!(await page.content()).includes("ingest"));
  for (const path of ["", "/timeline?pageSize=200"]) complaints.expectAnswer(`/v1/resources/ingest${path}`, 403);
  complaints.expectAnswer("/v1/jobs?pageSize=50&resource=ingest", 403);
  await page.goto(`${gateway.url}/#/resources/ingest`);
  await page.locator(".notice", { hasText: 'This key is not for the resource "ingest".' }).first().waitFor();
  await close(page);
});

test("a key that is revoked leads back to the form, and takes all that was shown with it", async () => {
  const { secret, key } = await gateway.makeKey({ name: "passing", scope: "read" });
  const page = await openWith(secret);
  await page.getByRole("article", { name: "ingest" }).locator(".plot canvas").waitFor();
  // An answer that is under way when the key is revoked comes too late.
  let release;
  const held = new Promise((resolve) => (release = resolve));
  let answered;
  const isHeld = new Promise((resolve) => (answered = resolve));
  await page.route("**/v1/resources", async (route) => {
    const response = await route.fetch();
    if (response.status() === 200) answered();
    await held;
    await route.fulfill({ response });
  }, { times: 1 });
  await gateway.submit({ resource: "ingest", targetCapacity: 2, onConflict: "supersede" });
  await isHeld;
  complaints.expectAnswer("/v1/resources", 401);
  await gateway.revokeKey(key.id);
  // The stream ends before anything more is told.
  await gateway.submit({ resource: "ingest", targetCapacity: 1, onConflict: "supersede" });
  await page.locator(".notice", { hasText: `The API key ${key.id} was revoked.` }).waitFor();
  await asks(page);
  await picture(page, "key-revoked");
  await showsNothing(page, "passing");
  assert.equal(await page.title(), "scalegate");
  assert.deepEqual((await kept(page)).session, {});
  const { secret: other } = await gateway.makeKey({ name: "api only", scope: "read", resources: ["api"] });
  await enter(page, other);
  await isLive(page);
  await page.getByRole("article", { name: "api" }).waitFor();
  const late = page.waitForResponse((answer) => answer.url().endsWith("/v1/resources"));
  release();
  await (await late).finished();
  // What came is drawn by now, had it been taken.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  assert.ok(!(await page.content()).includes("ingest"), "what one key has shown is not shown to the next");
  assert.ok(await page.evaluate(() => window.notReloaded));
  await close(page);
});

test("a key is forgotten when the user wants it", async () => {
  const page = await openWith(keys.admin, "#/jobs");
  const caller = page.locator(".caller");
  await caller.getByText("admin", { exact: true }).waitFor();
  assert.match(await caller.innerText(), /^operator\s+admin\s+Forget key$/);
  assert.equal(await caller.getAttribute("title"), `The key ${idOf(keys.admin)}: for all resources, good until it is revoked`);
  complaints.expectAnswer("/v1/events", 401);
  const ended = page.waitForEvent("requestfailed", (request) => request.headers().authorization?.includes(keys.admin));
  await page.getByRole("button", { name: "Forget key" }).click();
  await page.getByText("The key was forgotten.").waitFor();
  await ended;
  await showsNothing(page);
  assert.deepEqual((await kept(page)).session, {});
  assert.ok(page.url().endsWith("#/jobs"), "a reader who enters one goes on where this one ended");
  await enter(page, keys.read);
  await heading(page, "Jobs");
  await isLive(page);
  await close(page);
});

test("a submission without an answer is not sent again with another key", async () => {
  const page = await openWith(keys.scale, "#/scale?resource=ingest");
  const sent = [];
  await page.route("**/v1/jobs", (route) => {
    if (route.request().method() !== "POST") return route.continue();
    sent.push(route.request().headers().authorization);
    complaints.expectFailure("/v1/jobs");
    return route.abort("connectionreset");
  });
  await fill(page, { "Target capacity": "7" });
  await page.locator("#amount").press("Enter");
  await page.locator(".plan-goal").waitFor();
  await page.clock.install();
  const failed = page.waitForEvent("requestfailed");
  await page.getByRole("button", { name: "Submit job" }).click();
  await failed;
  complaints.expectAnswer("/v1/events", 401);
  await page.getByRole("button", { name: "Forget key" }).click();
  await asks(page);
  await enter(page, keys.admin);
  await isLive(page);
  await page.clock.runFor(10_000);
  assert.deepEqual(sent, [`Bearer ${keys.scale}`]);
  await close(page);
});

test("a gateway that is away takes no key away", async () => {
  const page = await openWith(keys.read);
  await page.getByRole("article", { name: "ingest" }).waitFor();
  const outage = complaints.outage(Date.now());
  await gateway.kill();
  const tried = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/v1/events"));
  await page.locator(".connection-lost").getByRole("button", { name: "Try now" }).click();
  await tried;
  await page.locator(".connection-lost", { hasText: /Trying again in \d+ s/ }).waitFor();
  assert.deepEqual(Object.values((await kept(page)).session), [keys.read]);
  assert.equal(await page.getByLabel("API key").count(), 0);
  await gateway.restart();
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await isLive(page);
  outage.end();

  // Neither does what is between, whatever it means by 401.
  await page.route("**/v1/resources", (route) => route.fulfill({ status: 401, body: "<h1>Who are you?</h1>" }), { times: 1 });
  complaints.expectAnswer("/v1/resources", 401);
  const refused = page.waitForResponse((answer) => answer.status() === 401);
  await gateway.submit({ resource: "api", targetCapacity: 1, onConflict: "supersede" });
  await refused;
  await isLive(page);
  assert.deepEqual(Object.values((await kept(page)).session), [keys.read]);
  await close(page);

  // One that cannot be asked about is neither good nor bad.
  const form = await openLocked();
  complaints.expectFailure("/v1/resources");
  await form.route("**/v1/resources", (route) => route.abort("connectionreset"), { times: 1 });
  await enter(form, keys.read);
  await form.getByText("Whether the key is good is not known.").waitFor();
  assert.equal(await form.getByLabel("API key").inputValue(), keys.read);
  await form.getByRole("button", { name: "Use this key" }).click();
  await isLive(form);
  await close(form);
});

test("an admin makes and revokes keys, and sees who tried what", async () => {
  const page = await openWith(keys.admin, "#/access");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: gateway.url });
  await page.locator(`tr[data-key="${idOf(keys.admin)}"]`, { hasText: "This tab" }).waitFor();
  const { keyboard } = page;
  await page.getByRole("button", { name: "Create a key" }).focus();
  await keyboard.press("Enter");
  // What is wrong stands beside its field.
  complaints.expectAnswer("/v1/keys", 422);
  await keyboard.press("Enter");
  await page.locator("#name-wrong").waitFor();
  assert.ok(await page.locator("#name").evaluate((field) => field === document.activeElement));
  await keyboard.type("night <b>shift</b>");
  await page.getByLabel("Valid").selectOption("week");
  await page.locator('input[name="scope"][value="scale"]').check();
  await page.getByLabel("Only these resources").fill("api, ..");
  complaints.expectAnswer("/v1/keys", 422);
  await page.getByRole("button", { name: "Create the key" }).click();
  await page.locator("#resources-wrong").waitFor();
  await page.getByLabel("Only these resources").fill("api, ingest");
  await keyboard.press("Enter");
  const secret = await page.locator(".secret").innerText();
  await page.locator(".notice", { hasText: "It is shown only now" }).waitFor();
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.getByRole("button", { name: "I have it, hide it" }).click();
  assert.ok(!(await page.content()).includes(secret));

  // It does what it was made for, and no more.
  const { key } = (await gateway.get("/v1/keys")).keys
    .filter(({ id }) => id === idOf(secret))
    .map((key) => ({ key }))[0];
  assert.deepEqual([key.name, key.scope, key.resources], ["night <b>shift</b>", "scale", ["api", "ingest"]]);
  const days = (Date.parse(key.expiresAt) - Date.parse(key.createdAt)) / 86_400_000;
  assert.equal(days, 7);
  await gateway.submit({ resource: "api", targetCapacity: 2, onConflict: "supersede" }, secret);
  await assert.rejects(gateway.submit({ resource: "other", targetCapacity: 2 }, secret), /403/);

  const row = page.locator(`tr[data-key="${key.id}"]`);
  await row.getByRole("button", { name: "Revoke night <b>shift</b>" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep the key" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal((await gateway.get(`/v1/keys/${key.id}`)).state, "active", "keeping is not revoking");
  await row.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke the key" }).click();
  await page.getByText("key that has ended").or(page.getByText("keys that have ended")).click();
  await row.locator(".badge", { hasText: "Revoked" }).waitFor();
  assert.equal(await row.getByRole("button").count(), 0);
  assert.equal((await gateway.get(`/v1/keys/${key.id}`)).state, "revoked");

  const attempts = page.locator(".attempts tbody tr");
  await attempts.first().getByText("Revoke a key").waitFor();
  const told = (await attempts.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, " "));
  assert.ok(told[0].includes(`operator ${idOf(keys.admin)}`) && told[0].includes("127.0.0.1"), told[0]);
  assert.ok(told.some((text) => /night <b>shift<\/b>.*Submit a job.*Refused.*resource_forbidden/.test(text)), told.join("\n"));
  assert.ok(told.some((text) => /night <b>shift<\/b>.*Submit a job api.*Accepted/.test(text)), told.join("\n"));

  // Older ones come page by page, each once.
  const before = (await gateway.get("/v1/audit?pageSize=200")).entries.length;
  for (let count = before; count <= 60; count += 1) {
    await assert.rejects(gateway.submit({ resource: "other", targetCapacity: 1 }, keys.read), /403/);
  }
  await page.getByRole("button", { name: "Read keys and audit log again" }).click();
  await attempts.first().getByText("dashboard").waitFor();
  await page.getByRole("button", { name: "Older entries" }).click();
  const { entries } = await gateway.get("/v1/audit?pageSize=200");
  await attempts.nth(entries.length - 1).waitFor();
  assert.equal(await attempts.count(), entries.length);
  assert.equal(await page.getByRole("button", { name: "Older entries" }).count(), 0);

  const search = page.getByLabel("Search", { exact: true });
  await search.fill("revoke a key");
  // Other tests have revoked keys as well.
  const revocations = entries.filter(({ action }) => action === "revoke_key").length;
  await attempts.nth(revocations).waitFor({ state: "detached" });
  assert.equal(await attempts.count(), revocations);
  for (const text of await attempts.allInnerTexts()) assert.match(text, /Revoke a key/);
  await search.fill("nothing like this");
  await page.getByText("that were read matches").waitFor();
  await search.fill("");

  // The key of this tab is a key like others.
  complaints.expectAnswer("/v1/resources", 401);
  const { secret: own } = await gateway.makeKey({ name: "own", scope: "admin" });
  complaints.expectAnswer("/v1/events", 401);
  await page.getByRole("button", { name: "Forget key" }).click();
  await asks(page);
  await enter(page, own);
  await page.getByRole("button", { name: "Revoke own" }).click();
  await page.getByRole("dialog").getByText("It is the key of this tab").waitFor();
  for (const path of ["/v1/keys", "/v1/resources", "/v1/events"]) complaints.expectAnswer(path, 401);
  await page.getByRole("dialog").getByRole("button", { name: "Revoke the key" }).click();
  await page.locator(".notice", { hasText: "was revoked" }).waitFor();
  await showsNothing(page);
  await close(page);
});

test("the first key closes the gateway, and the tab that made it goes on with it", async () => {
  const open = await Gateway.start(sidecar, GATEWAY, CONFIGURATION);
  const heard = new Complaints(open.url);
  try {
    const page = await openPage(browser, `${open.url}/#/access`, { expected: heard });
    const other = await openPage(browser, open.url, { expected: heard });
    await isLive(other);
    // What it reads by itself, it has read before there is a key.
    for (const alias of ["api", "ingest"]) {
      await other.getByRole("article", { name: alias }).locator(".capacity-now", { hasText: /^\d+$/ }).waitFor();
    }
    await page.getByText("Every caller who reaches this gateway may do everything").waitFor();
    await page.locator(".caller", { hasText: "no key" }).waitFor();
    await page.getByRole("contentinfo").getByRole("link", { name: "Metrics" }).waitFor();
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByText("The first key closes the gateway").waitFor();
    await picture(page, "access-first");
    await fill(page, { Name: "operator" });
    // Whatever is asked before the answer has arrived is not held against the tab.
    await page.route("**/v1/keys", async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      const response = await route.fetch();
      heard.expectAnswer("/v1/keys", 401);
      const refused = page.waitForResponse((answer) => answer.url().endsWith("/v1/keys") && answer.status() === 401);
      await page.getByRole("button", { name: "Read keys and audit log again" }).click();
      await refused;
      await route.fulfill({ response });
    });
    // Once to see whether a key is needed now, once by the other page, and once if this one hears of a reading meanwhile.
    for (let times = 0; times < 3; times += 1) heard.expectAnswer("/v1/resources", 401);
    await page.getByRole("button", { name: "Create the key" }).click();
    await page.locator(".secret").waitFor();
    await page.locator(".caller", { hasText: "operatoradmin" }).waitFor();
    assert.equal(await page.getByRole("contentinfo").getByRole("link", { name: "Metrics" }).count(), 0, "it would be refused");
    const key = await page.evaluate(() => Object.values({ ...sessionStorage })[0]);
    open.adminKey = key;
    assert.equal((await open.get("/v1/keys")).keys.length, 1);
    assert.equal(await page.getByLabel("API key").count(), 0);
    // The other one is asked for a key as soon as it asks for anything.
    await open.submit({ resource: "api", targetCapacity: 2 });
    await asks(other);
    await Promise.all([page, other].map(close));
    assert.deepEqual(heard.list(), []);
  } finally {
    await open.stop();
  }
});

test("Swagger UI sends the key that it was given, and keeps it nowhere", async () => {
  const page = await openPage(browser, `${gateway.url}/docs/`, { expected: complaints });
  const operation = page.locator("#operations-access-listKeys");
  await operation.waitFor();
  assert.equal(await page.locator(".topbar").count(), 0, "no bar for other documents");
  await page.locator(".models:not(.is-open)").waitFor();
  assert.equal(await page.getByRole("link", { name: "Back to the control panel" }).getAttribute("href"), "/");
  const status = operation.locator(".live-responses-table tbody .response-col_status");
  await operation.locator(".opblock-summary-control").click();
  complaints.expectAnswer("/v1/keys", 401);
  await operation.getByRole("button", { name: "Execute" }).click();
  await status.getByText("401").waitFor();

  await page.locator(".auth-wrapper button.authorize").first().click();
  await page.locator(".auth-container input").fill(keys.admin);
  await page.locator(".auth-btn-wrapper button.authorize").click();
  await page.getByText("Authorized", { exact: true }).waitFor();
  await picture(page, "docs-authorized");
  await page.locator(".auth-btn-wrapper button.btn-done").click();
  await operation.getByRole("button", { name: "Execute" }).click();
  await status.getByText("200").waitFor();

  const list = page.locator("#operations-jobs-listJobs");
  await list.locator(".opblock-summary-control").click();
  await list.locator('[data-param-name="pageToken"] input').fill("");
  await list.getByRole("button", { name: "Execute" }).click();
  await list.locator(".live-responses-table tbody .response-col_status").getByText("200").waitFor();
  const everything = await kept(page);
  assert.deepEqual([everything.session, everything.local, everything.cookies], [{}, {}, ""]);
  assert.ok(!everything.address.includes(idOf(keys.admin)));
  await close(page);
});

test("what a gateway with keys shows looks as it should, light and dark, wide and narrow", async () => {
  await gateway.makeKey({ name: "incomprehensibilities".repeat(4), scope: "scale", resources: ["api", "x".repeat(40)] });
  await assert.rejects(gateway.submit({ resource: "api", targetCapacity: 3 }, keys.strange), /401/);
  const job = await gateway.submit({ resource: "api", targetCapacity: 3, onConflict: "supersede" }, keys.scale);
  for (const [colorScheme, width, height] of LOOKS) {
    const page = await openLocked("", { width, height, colorScheme });
    const look = async (name) => {
      await picture(page, `${name}-${colorScheme}-${width}`);
      assert.deepEqual(await page.evaluate(unnamed), [], `${name} at ${width}`);
      await fits(page, name);
    };
    await look("key");
    complaints.expectAnswer("/v1/resources", 401);
    await enter(page, keys.strange);
    await page.locator(".notice").waitFor();
    await look("key-refused");
    await enter(page, "nonsense");
    await page.locator(".field-wrong").waitFor();
    await look("key-malformed");
    await enter(page, keys.admin);
    await isLive(page);
    await page.locator(".plot canvas").first().waitFor();
    await look("resources-with-key");
    await page.goto(`${gateway.url}/#/access`);
    await page.locator(".attempts tbody tr").nth(5).waitFor();
    await page.locator("summary").click();
    await look("access");
    await page.getByRole("button", { name: "Create a key" }).click();
    await look("access-new");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Revoke operator" }).click();
    await look("access-revoke");
    await page.keyboard.press("Escape");
    await page.goto(`${gateway.url}/#/about`);
    await page.getByRole("link", { name: "Preact licence (MIT)" }).waitFor();
    await look("about");
    await page.goto(`${gateway.url}/#/jobs/${job.id}`);
    await page.getByText("Submitted by").waitFor();
    await page.locator(".plot canvas").waitFor();
    await look("job-with-key");
    await close(page);
  }
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints.list(), []);
});
