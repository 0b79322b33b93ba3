/**
 * Policies in a real browser, with the real binary behind it: from the metric that is pushed to the capacity that the sidecar
 * shows, what the panel says of it meanwhile, and holds and claims that are made in its forms.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Complaints } from "./browser.js";
import { Gateway } from "./gateway.js";
import { LOOKS, PATIENCE_MILLIS, close, fill, fits, isLive, jobShown, unnamed } from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "200ms", "--start", "1", "--max", "60"];
const GATEWAY = ["--cooldown", "300ms", "--settle", "300ms", "--poll-interval", "200ms", "--active-timeout", "20s"];

const example = (name) => JSON.parse(readFileSync(new URL(`../../examples/policies/${name}`, import.meta.url), "utf8"));

/** The policies of the examples, but for their patience: a test does not wait for five minutes. */
const AT_ONCE = { behavior: { down: { stabilizationSeconds: 0 } }, job: { stepSize: 10 } };
const BAND = { ...example("queue-band.json"), ...AT_ONCE };
const OFFICE = { ...example("office-hours.json"), ...AT_ONCE };

const { browser, sidecar, gateway, complaints, open, picture } = await stage({ simulate: SIDECAR, serve: GATEWAY });

/** Opens the page of a resource with a policy, and waits until the policy has decided. */
async function openWithPolicy(alias, policy) {
  await gateway.putPolicy(alias, policy);
  const page = await open(`#/resources/${alias}`);
  await isLive(page);
  await decided(page, /./);
  return page;
}

/** Waits until the last decision is told in words that match. */
const decided = (page, text) => page.locator(".decision-sentence", { hasText: text }).waitFor();
const shows = (page, units) => page.locator(".capacity-now", { hasText: new RegExp(`^${units}$`) }).waitFor();
/** A row of what explains the last decision. */
const fact = (page, table, name) =>
  page.locator(".decision .facts", { has: page.locator("caption", { hasText: table }) })
    .getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
const hold = (page) => page.getByRole("region", { name: "Hold" });
const claims = (page) => page.getByRole("region", { name: "Claims" });
const dialog = (page) => page.getByRole("dialog");
const press = (place, name) => place.getByRole("button", { name, exact: true }).click();

test("pattern 1: a resource is scaled to a target", async () => {
  const page = await open("#/scale?resource=simple");
  await fill(page, { "Target capacity": "3" });
  await page.locator("#amount").press("Enter");
  await press(page, "Submit job");
  await jobShown(page);
  await sidecar.reaches("simple", 3);
  await gateway.submit({ resource: "simple", delta: -1 });
  await sidecar.reaches("simple", 2);
  await page.goto(`${gateway.url}/#/resources/simple`);
  await shows(page, 2);
  // Where there is no policy, nothing is said of policies.
  await hold(page).getByText("A hold refuses new jobs for a time.").waitFor();
  await press(page, "Hold");
  await page.getByRole("dialog").getByText("new jobs of all callers are refused, also yours. Jobs").waitFor();
  await page.keyboard.press("Escape");
  for (const name of ["Claims", "Last decision", "Outlook"]) assert.equal(await page.getByRole("region", { name }).count(), 0);
  assert.equal(await page.getByRole("heading", { name: "Decisions" }).count(), 0);
  await close(page);
});

test("pattern 2: a metric scales, and not every change of it", async () => {
  const page = await openWithPolicy("metric", BAND);
  await fact(page, "Metrics", "queue").getByText("Missing: there never was a value").waitFor();
  await page.locator(".decision .notice", { hasText: "What stands in its way" }).waitFor();

  await gateway.push("metric", "queue", 250);
  await decided(page, "From 1 to 3: 250 at 100 per unit");
  await fact(page, "Metrics", "queue").getByText("Fresh").waitFor();
  await fact(page, "Stages", "Rules").getByText("3", { exact: true }).waitFor();
  await sidecar.reaches("metric", 3);
  await shows(page, 3);
  await decided(page, "Stays at 3");
  await page.locator(".decision .notice").waitFor({ state: "detached" });

  // Between both thresholds nothing happens, and the panel says where they are.
  await gateway.push("metric", "queue", 160);
  await decided(page, "160 keeps 3 between 50 and 100 per unit");
  await fact(page, "What would change it", "queue above 300").getByText("queue wants 4").waitFor();
  await fact(page, "What would change it", "queue below 150").getByText("queue wants 2").waitFor();

  await gateway.push("metric", "queue", 100);
  await sidecar.reaches("metric", 2);
  await shows(page, 2);

  // The ledger has all of it, and what was equal only once.
  const entry = page.locator(".ledger li").filter({ hasText: "From 1 to 3" });
  await entry.getByText("1 → 3").waitFor();
  await entry.locator("summary").click();
  await entry.getByText("250 at 100 per unit at most needs 3").last().waitFor();
  await entry.getByRole("link", { name: "Open the job" }).click();
  await page.locator(".fact", { hasText: "Submitted by" }).getByText("policy, revision 1").waitFor();
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was loaded once");
  await close(page);
});

/** All decisions, once one with `text` is the newest that was written down. */
async function written(alias, text) {
  const deadline = Date.now() + PATIENCE_MILLIS;
  for (;;) {
    const { decisions } = await gateway.get(`/v1/resources/${alias}/decisions`);
    if (decisions[0]?.detail.includes(text)) return decisions;
    assert.ok(Date.now() < deadline, `${decisions[0]?.detail}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("the same decision again is one entry with a count, and older ones are pages", async () => {
  const page = await openWithPolicy("counted", { ...BAND, mode: "advise" });
  for (const value of [60, 61, 62]) {
    await gateway.push("counted", "queue", value);
    await decided(page, `${value} keeps 1`);
  }
  const entry = page.locator(".ledger li").filter({ hasText: "62 keeps 1" });
  await entry.locator(".ledger-count", { hasText: /^× \d+$/ }).waitFor();
  await fact(page, "Metrics", "queue").getByText("at first 60").waitFor();
  // In this mode nothing is done, and that is said.
  await page.getByText("Policy only advises").waitFor();
  await gateway.push("counted", "queue", 500);
  await decided(page, "Would go from 1 to 5");
  await page.locator(".decision").getByText("Advice only").waitFor();
  // What was not written down yet is at the top all the same.
  await page.reload();
  const entries = page.locator(".ledger li");
  await entries.first().getByText("Would go from 1 to 5").waitFor();
  const decisions = await written("counted", "Would go from 1 to 5");
  await page.route("**/decisions?pageSize=50*", (route) => route.continue({ url: route.request().url().replace("=50", "=1") }));
  await page.reload();
  await entries.first().waitFor();
  for (let shown = 1; shown < decisions.length; shown += 1) {
    assert.equal(await entries.count(), shown);
    await press(page, "Older decisions");
    await entries.nth(shown).waitFor();
  }
  await page.getByRole("button", { name: "Older decisions" }).waitFor({ state: "detached" });
  assert.equal(await entries.last().getAttribute("data-decision"), decisions.at(-1).id);
  await sidecar.reaches("counted", 1);
  await gateway.putPolicy("counted", { ...BAND, mode: "off" });
  await page.getByText("Policy is off").waitFor();
  await decided(page, "It decides nothing");
  await close(page);
});

/** `09:00` in UTC, so many hours from now. */
const inHours = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);

test("pattern 3: a schedule scales", async () => {
  const [busy] = OFFICE.rules;
  const within = (from, to) => ({ ...OFFICE, min: 1, rules: [{ ...busy, timeZone: "UTC", from: inHours(from), to: inHours(to), min: 3 }] });
  const page = await openWithPolicy("schedule", within(-2, 2));
  await sidecar.reaches("schedule", 3);
  await shows(page, 3);
  await fact(page, "Rules", "busy").getByText("at least 3").waitFor();
  await fact(page, "Stages", "Windows").getByText("3", { exact: true }).waitFor();
  await fact(page, "Stages", "Windows").getByText(/busy/).waitFor();
  await page.locator(".decision-facts", { hasText: "Set by windows of schedules" }).first().waitFor();

  const later = within(6, 10);
  await gateway.putPolicy("schedule", later);
  await sidecar.reaches("schedule", 1);
  await shows(page, 1);
  await page.getByText("revision 2", { exact: true }).waitFor();
  await page.getByText("What the policy does").click();
  await page.locator(".what-it-does").getByText(later.rules[0].from).first().waitFor();
  await close(page);
});

const FORECAST = {
  min: 1, max: 20, metrics: { rps: { source: { type: "push" }, maxAgeSeconds: 600 } },
  rules: [{ name: "now", type: "target", metric: "rps", perUnit: 100 }],
  ...AT_ONCE,
};
const AHEAD = { name: "ahead", type: "forecast", metric: "rps", perUnit: 100 };
const DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/** Puts a policy on a metric whose last four days had a peak from an hour ahead on, and that looks ahead. */
async function putWithHistory(alias, policy, rules) {
  await gateway.putPolicy(alias, policy);
  const load = (minutes) => (((minutes % 1440) + 1440) % 1440 >= 60 && ((minutes % 1440) + 1440) % 1440 < 300 ? 870 : 250);
  const minutes = Array.from({ length: 4 * 288 + 1 }, (_, index) => 5 * (index - 4 * 288));
  const now = Date.now();
  const samples = minutes.map((minute) => ({ at: new Date(now + minute * 60_000).toISOString(), value: load(minute) }));
  for (let at = 0; at < samples.length; at += 500) await gateway.pushSamples(alias, "rps", samples.slice(at, at + 500));
  const deadline = Date.now() + PATIENCE_MILLIS;
  const path = `/v1/resources/${alias}/metrics/rps?stepSeconds=3600`;
  while ((await gateway.get(path)).points.length === 0) {
    assert.ok(Date.now() < deadline, "nothing was recorded");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await gateway.putPolicy(alias, { ...policy, rules: [...policy.rules, ...rules] });
}

const outlook = (page) => page.getByRole("region", { name: "Outlook" });
/** The plot of the past and of what is ahead, with its legend and its rows. */
const drawing = (page) => page.getByRole("region", { name: "Capacity", exact: true });
const legend = (page, name) => drawing(page).locator(`.legend .of-${name}`);
const row = (page, kind, hasText) => drawing(page).locator(`.plot-row.of-${kind}`, { hasText });

/** What is told of the moment at a share of the width of the plot. */
async function pointedAt(page, share) {
  const { x, y, width } = await drawing(page).locator(".u-over").boundingBox();
  await page.mouse.move(x + width * share, y + 20);
  return drawing(page).locator(".readout").textContent();
}

test("what is ahead is drawn, told in words, and renewed when it changes, but not all the time", async () => {
  const office = { name: "office", type: "schedule", timeZone: "UTC", days: DAYS, from: inHours(8), to: inHours(10), min: 12 };
  await putWithHistory("ahead", FORECAST, [AHEAD, office]);
  const page = await open();
  const asked = [];
  page.on("request", (request) => request.url().includes("/outlook") && asked.push(Date.now()));
  await page.goto(`${gateway.url}/#/resources/ahead`);
  await isLive(page);
  await outlook(page).getByText("Trusted: it counts").waitFor();
  await outlook(page).getByText(/^Its mean error is [\d.]+ of rps; that of the guess that all stays as it is, [\d.]+\.$/).waitFor();
  await outlook(page).getByText(/^\d+ % of the values were at most what it provided for; 70 % were asked for\.$/).waitFor();
  await legend(page, "expected").waitFor();
  await legend(page, "metric").waitFor();
  assert.equal(await row(page, "window", "office: at least 12").count(), 0, "as much is ahead as was before");
  await press(drawing(page), "+24h, a day ahead");
  await row(page, "window", "office: at least 12").waitFor();
  const plot = drawing(page).getByRole("img", { name: /^Capacity of ahead over 6 h: .* rps from 250 to 250, .* The next 24 hours of ahead: planned capacity from 3 to \d+, between \d and 12; most of rps that ahead expects: 8\d\d, which needs 9, at .*; 1 window opens\.$/ });
  await plot.waitFor();
  assert.match(await pointedAt(page, 0.1), /\d\d:\d\d:\d\d  rps 250$/, "a line of the metric, from before there was a policy");
  assert.match(await pointedAt(page, 0.52), /\d\d:\d\d:\d\d  planned 12, expected [\d.]+, at most [\d.]+$/);
  // The same by the keyboard alone.
  const words = outlook(page).locator(".ahead-words");
  await words.locator("summary").focus();
  await page.keyboard.press("Enter");
  for (const text of ["now: 3", "planned: 9", "planned: 12", "office opens: at least 12", "office closes"]) {
    await words.getByText(text, { exact: true }).first().waitFor();
  }
  const times = await words.locator("time").evaluateAll((all) => all.map((time) => time.dateTime));
  assert.deepEqual(times, times.toSorted(), "in the order of time");

  // A claim that somebody else makes changes what is planned, soon and without a word to the page.
  await gateway.claim("ahead", { units: 15, forSeconds: 7200 });
  await row(page, "claim", "claim: at least 15").waitFor();
  await words.getByText("claim ends: at least 15", { exact: true }).waitFor();
  await sidecar.reaches("ahead", 15);
  await words.getByText("now: 15", { exact: true }).waitFor();
  for (const [index, at] of asked.entries()) {
    assert.ok(index === 0 || at - asked[index - 1] > 4_500, `asked at ${asked.map((one) => one - asked[0])}`);
  }

  await gateway.putPolicy("ahead", { ...FORECAST, mode: "off" });
  await outlook(page).waitFor({ state: "detached" });
  await drawing(page).getByRole("img", { name: /changes\.( rps [^.]*\.)?$/ }).waitFor();
  await legend(page, "planned").waitFor({ state: "detached" });
  await close(page);
});

test("a rule that does not know enough says so, and an outlook that cannot be read is no reason to show nothing", async () => {
  await gateway.putPolicy("unlearned", { ...FORECAST, rules: [...FORECAST.rules, AHEAD] });
  await gateway.push("unlearned", "rps", 250);
  await sidecar.reaches("unlearned", 3);
  const page = await open();
  await page.route("**/v1/resources/unlearned/outlook*", (route) => {
    complaints.expectAnswer("/v1/resources/unlearned/outlook?hours=24", 503);
    return route.fulfill({ status: 503, json: { title: "Overloaded", detail: "Later." } });
  });
  await page.goto(`${gateway.url}/#/resources/unlearned`);
  await outlook(page).locator(".notice", { hasText: "Overloaded" }).waitFor();
  await outlook(page).getByText("Learning: it does not count yet").waitFor();
  await outlook(page).getByText("Too little is known of the past of rps.").waitFor();
  await page.unroute("**/v1/resources/unlearned/outlook*");
  // Another basis is a reason to ask again.
  await gateway.push("unlearned", "rps", 350);
  await drawing(page).getByRole("img", { name: /planned capacity from [34] to 4/ }).waitFor();
  await outlook(page).locator(".notice").waitFor({ state: "detached" });
  await legend(page, "planned").waitFor();
  assert.equal(await legend(page, "expected").count(), 0, "nothing is expected");
  await close(page);
});

test("a hold is put in the form, is in force, and is ended", async () => {
  const page = await openWithPolicy("held", BAND);
  await gateway.push("held", "queue", 60);
  await decided(page, "60 keeps 1");
  await press(hold(page), "Hold");

  // What the form can tell is not sent; what only the gateway knows stands beside the field as well.
  await fill(page, { "How long": "soon" });
  await press(dialog(page), "Hold");
  await dialog(page).locator("#lasting-wrong", { hasText: "must be a duration such as 4h" }).waitFor();
  assert.ok(await page.locator("#lasting").evaluate((field) => field === document.activeElement));
  await fill(page, { "How long": "40d" });
  await press(dialog(page), "Hold");
  await dialog(page).locator("#lasting-wrong", { hasText: "between 1 second and 30 days" }).waitFor();
  await dialog(page).getByLabel("All but those to a capacity").check();
  await fill(page, { "How long": "1h 30m", "Capacity to keep": "2000000" });
  complaints.expectAnswer("/v1/resources/held/hold", 422);
  await press(dialog(page), "Hold");
  await dialog(page).locator("#capacity-wrong", { hasText: "must be between 0 and 1000000" }).waitFor();
  await picture(page, "hold-refused");

  await dialog(page).getByLabel("New jobs up").check();
  await fill(page, { Reason: "database migration" });
  await press(dialog(page), "Hold");
  await dialog(page).waitFor({ state: "detached" });
  await hold(page).getByText("No new jobs up").waitFor();
  await hold(page).getByText("database migration").waitFor();
  await hold(page).getByText(/^until .*, in 1 h (29|30) min/).waitFor();
  await gateway.push("held", "queue", 450);
  await decided(page, /hold/);
  await fact(page, "Rules", "queue").getByText("5", { exact: true }).waitFor();
  await assert.rejects(gateway.submit({ resource: "held", targetCapacity: 9 }), /409: The resource is held on the way up until/);
  await sidecar.reaches("held", 1);

  // A job is refused in words, with the way to what refuses it.
  await page.goto(`${gateway.url}/#/scale?resource=held`);
  await fill(page, { "Target capacity": "9" });
  complaints.expectAnswer("/v1/plans", 409);
  await page.locator("#amount").press("Enter");
  await page.locator(".plan .notice", { hasText: "A hold stops it" }).getByRole("link", { name: "To the hold" }).click();

  // Instead of the way up, all but the way to one capacity.
  await press(hold(page), "Replace the hold");
  await dialog(page).getByLabel("All but those to a capacity").check();
  await fill(page, { "Capacity to keep": "2", "How long": "2h" });
  await press(dialog(page), "Hold");
  await hold(page).getByText("Kept at 2").waitFor();
  await sidecar.reaches("held", 2);
  await shows(page, 2);

  await press(hold(page), "End the hold");
  await press(dialog(page), "Keep the hold");
  await hold(page).getByText("Kept at 2").waitFor();
  await press(hold(page), "End the hold");
  await press(dialog(page), "End the hold");
  await hold(page).getByText("Nothing is stopped").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Hold", "the focus is where the news is");
  await sidecar.reaches("held", 5);
  await shows(page, 5);
  await close(page);
});

test("a claim is made in the form, is satisfied, renewed and ended", async () => {
  const page = await openWithPolicy("claimed", BAND);
  await gateway.push("claimed", "queue", 60);
  await press(claims(page), "Claim units");
  await press(dialog(page), "Claim");
  await dialog(page).locator("#units-wrong", { hasText: "must be a whole number above 0" }).waitFor();
  await fill(page, { Units: "21" });
  complaints.expectAnswer("/v1/resources/claimed/claims", 422);
  await press(dialog(page), "Claim");
  await dialog(page).locator("#units-wrong", { hasText: "20" }).waitFor();
  await fill(page, { Units: "3", "For whom": "nightly import", Reason: "4 million rows" });
  await dialog(page).getByLabel("at a time").last().check();
  await page.getByLabel("Until", { exact: true }).fill("2000-01-01T00:00");
  await press(dialog(page), "Claim");
  await dialog(page).locator("#until-wrong", { hasText: "must be in the future" }).waitFor();
  await dialog(page).getByLabel("after a time").check();
  // An answer that got lost is no reason for a second claim.
  const path = "/v1/resources/claimed/claims";
  let isLost = false;
  await page.route(`**${path}`, async (route) => {
    if (isLost || route.request().method() !== "POST") return route.continue();
    isLost = true;
    await route.fetch();
    await route.abort("connectionreset");
  });
  complaints.expectFailure(path);
  await press(dialog(page), "Claim");
  await dialog(page).getByText("Sending it again is safe").waitFor();
  await press(dialog(page), "Claim");
  await dialog(page).waitFor({ state: "detached" });
  assert.equal((await gateway.get(path)).claims.length, 1);
  await claims(page).getByText("At least 3").waitFor();
  await claims(page).getByText("nightly import: 4 million rows").waitFor();
  await sidecar.reaches("claimed", 3);
  await claims(page).getByText("Satisfied", { exact: true }).waitFor();
  await fact(page, "Stages", "Claims").getByText("claims ask for at least 3").waitFor();

  await press(claims(page), "Renew the claim: At least 3");
  await fill(page, { "How long": "2d" });
  await press(dialog(page), "Renew");
  await claims(page).getByText(/, in (2 d|1 d 23 h)/).waitFor();

  // What others claim is seen as well, and what ends elsewhere is gone.
  const { id } = await gateway.claim("claimed", { units: 3, kind: "extra", forSeconds: 600, owner: "deployment" });
  await claims(page).getByText("3 extra").waitFor();
  await sidecar.reaches("claimed", 4);
  await fetch(`${gateway.url}/v1/resources/claimed/claims/${id}`, { method: "DELETE" });
  await claims(page).getByText("3 extra").waitFor({ state: "detached" });

  await press(claims(page), "End the claim: At least 3");
  await press(dialog(page), "End the claim");
  await claims(page).getByText("Nothing is claimed").waitFor();
  await sidecar.reaches("claimed", 1);
  await shows(page, 1);
  await close(page);
});

test("a hold is put with the keyboard alone, and one of others is seen", async () => {
  const page = await openWithPolicy("keyboard", BAND);
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
  await tabTo("Hold");
  await keyboard.press("Enter");
  await dialog(page).waitFor();
  await keyboard.press("Escape");
  await dialog(page).waitFor({ state: "detached" });
  assert.equal(await focused(), "Hold");
  await keyboard.press("Enter");
  await dialog(page).waitFor();
  await tabTo("Reason");
  await keyboard.type("typed");
  await keyboard.press("Enter");
  await hold(page).getByText("typed").waitFor();
  assert.equal(await focused(), "Hold", "the heading of the card");
  await gateway.putHold("keyboard", { forSeconds: 3600, direction: "down", reason: "by a colleague" });
  await hold(page).getByText("by a colleague").waitFor();
  const overview = await open();
  await overview.getByRole("article", { name: "keyboard" }).getByText("No new jobs down").waitFor();
  await close(overview);
  // It ends by itself.
  await gateway.putHold("keyboard", { forSeconds: 2, direction: "down", reason: "by a colleague" });
  await hold(page).getByText("Nothing is stopped").waitFor();
  await close(page);
});

test("what was decided while the gateway was away from the page is there when it is back", async () => {
  const page = await openWithPolicy("away", BAND);
  const outage = complaints.outage(Date.now());
  await page.route("**/v1/events", (route) => route.abort("connectionrefused"));
  await gateway.kill();
  await page.locator(".connection-lost").waitFor();
  await gateway.restart();
  await gateway.push("away", "queue", 250);
  await sidecar.reaches("away", 3);
  await page.unroute("**/v1/events");
  await isLive(page);
  outage.end();
  await decided(page, "Stays at 3");
  await page.locator(".ledger li").filter({ hasText: "From 1 to 3" }).waitFor();
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was loaded once");
  await close(page);
});

test("a key to look sees why it may not hold or claim", async () => {
  const closed = await Gateway.start(sidecar, GATEWAY);
  const heard = new Complaints(closed.url);
  try {
    await closed.close();
    await closed.putPolicy("locked", BAND);
    const { secret } = await closed.makeKey({ name: "dashboard", scope: "read" });
    heard.expectAnswer("/v1/events", 401);
    const page = await open("#/resources/locked", { origin: closed.url, expected: heard });
    await page.getByLabel("API key").fill(secret);
    await press(page, "Use this key");
    await hold(page).getByText("The key of this tab puts and ends no holds: that takes one with the scope scale.").waitFor();
    await claims(page).getByText("The key of this tab makes, renews and ends no claims").waitFor();
    assert.ok(await hold(page).getByRole("button", { name: "Hold", exact: true }).isDisabled());
    assert.ok(await claims(page).getByRole("button", { name: "Claim units" }).isDisabled());

    // Another key's claim is not this one's to end.
    await closed.claim("locked", { units: 2, forSeconds: 600, owner: "operator" });
    const { secret: other } = await closed.makeKey({ name: "importer", scope: "scale" });
    heard.expectAnswer("/v1/events", 401);
    await press(page, "Forget key");
    await page.getByLabel("API key").fill(other);
    await press(page, "Use this key");
    await press(claims(page), "End the claim: At least 2");
    const [{ id }] = (await closed.get("/v1/resources/locked/claims")).claims;
    heard.expectAnswer(`/v1/resources/locked/claims/${id}`, 403);
    await press(dialog(page), "End the claim");
    await dialog(page).getByText("Only the key that made a claim, or an admin, can change it.").waitFor();
    await close(page);
    assert.deepEqual(heard.list(), []);
  } finally {
    await closed.stop();
  }
});

test("pages with a policy look as they should, light and dark, wide and narrow", async () => {
  const policy = {
    ...BAND, metrics: { queue: { source: { type: "push" } }, p99_of_the_latest_minute: { source: { type: "push" } } },
    rules: [
      ...BAND.rules,
      { name: "latency", type: "step", metric: "p99_of_the_latest_minute", steps: [{ above: 0.5, change: 1 }] },
      { name: "busy", type: "schedule", timeZone: "UTC", days: ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"], from: inHours(-2), to: inHours(2), min: 2 },
    ],
  };
  await gateway.putPolicy("drawn", policy);
  for (const value of [250, 251, 252]) await gateway.push("drawn", "queue", value);
  await sidecar.reaches("drawn", 3);
  await gateway.claim("drawn", { units: 4, forSeconds: 7200, owner: "nightly import", reason: "incomprehensibilities".repeat(6) });
  await gateway.claim("drawn", { units: 2, kind: "extra", forSeconds: 7200 });
  await sidecar.reaches("drawn", 5);
  await gateway.putHold("drawn", { forSeconds: 14400, direction: "down", reason: "database migration" });
  for (const [colorScheme, width, height] of LOOKS) {
    const page = await open("#/resources/drawn", { width, height, colorScheme });
    await isLive(page);
    await row(page, "hold", "hold: no new jobs down").waitFor();
    await decided(page, /./);
    await legend(page, "metric").waitFor();
    await page.getByLabel("Metric").selectOption("p99_of_the_latest_minute");
    await legend(page, "metric").waitFor({ state: "detached" });
    await page.getByLabel("Metric").selectOption("queue");
    await legend(page, "metric").waitFor();
    await page.locator(".ledger summary").nth(1).click();
    await page.locator(".ledger-more").waitFor();
    await picture(page, `policy-${colorScheme}-${width}`);
    assert.deepEqual(await page.evaluate(unnamed), []);
    await fits(page, "the page of a policy");
    // Half of the forms are as good as all of them.
    const isForms = (colorScheme === "light") === (width > 390);
    for (const [place, button, name] of isForms ? [[hold(page), "Replace the hold", "hold"], [claims(page), "Claim units", "claim"]] : []) {
      await press(place, button);
      await dialog(page).waitFor();
      await picture(page, `policy-${name}-${colorScheme}-${width}`);
      assert.deepEqual(await page.evaluate(unnamed), []);
      await fits(page, `the form of a ${name}`);
      await press(dialog(page), "Cancel");
    }
    await page.goto(`${gateway.url}/`);
    await page.getByRole("article", { name: "drawn" }).locator(".policy-sentence").waitFor();
    await picture(page, `policy-resources-${colorScheme}-${width}`);
    await fits(page, "the overview with policies");
    await close(page);
  }
});

test("outlooks look as they should, light and dark, wide and narrow", async () => {
  const windows = [
    { name: "office", type: "schedule", timeZone: "UTC", days: DAYS, from: inHours(8), to: inHours(10), min: 12 },
    { name: "a_night_without_any_of_the_work_of_the_day", type: "schedule", timeZone: "UTC", days: DAYS, from: inHours(-1), to: inHours(5), max: 18 },
  ];
  const doubted = { ...AHEAD, name: "pessimist", perUnit: 60, quantile: 0.99 };
  await putWithHistory("foreseen", { ...FORECAST, max: 25 }, [AHEAD, doubted, ...windows]);
  await gateway.claim("foreseen", { units: 4, from: new Date(Date.now() + 18 * 3_600_000).toISOString(), until: new Date(Date.now() + 21 * 3_600_000).toISOString() });
  // A rule is distrusted, and could be compared, only after hours.
  const change = (standing) => ({ ...standing, state: standing.rule === "pessimist" ? "distrusted" : standing.state });
  const compared = (standing) => ({ ...change(standing), error: 52.13, naiveError: 140.4, coverage: 0.7143 });
  const changed = (reviver) => async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: JSON.parse(await response.text(), reviver) });
  };
  // From the first request on: a list on its way would tell again what the gateway itself says.
  const routes = [
    ["**/v1/resources/foreseen/outlook*", changed((key, value) => (key === "forecast" ? value.map(change) : value))],
    [/\/v1\/resources(\/foreseen)?$/, changed((key, value) => (key === "forecasts" ? value.map(compared) : value))],
  ];
  for (const [colorScheme, width, height] of LOOKS) {
    const page = await open("#/resources/foreseen", { width, height, colorScheme, routes });
    await isLive(page);
    await press(drawing(page), "+24h, a day ahead");
    await legend(page, "expected").waitFor();
    await legend(page, "doubted").waitFor();
    await outlook(page).getByText("Its mean error is 52.1 of rps; that of the guess that all stays as it is, 140.").first().waitFor();
    await outlook(page).getByText("71 % of the values were at most what it provided for; 70 % were asked for.").first().waitFor();
    await outlook(page).getByText("Distrusted: it does not count").waitFor();
    await row(page, "claim", "at least 4").waitFor();
    await picture(page, `outlook-${colorScheme}-${width}`);
    assert.deepEqual(await page.evaluate(unnamed), []);
    await fits(page, "the outlook");
    await outlook(page).getByText("What is ahead, in words").click();
    await fits(page, "the outlook in words");
    await close(page);
  }
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints.list(), []);
});
