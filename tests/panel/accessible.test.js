/**
 * Every page and every dialog, light and dark, with nothing to show, and while something fails: axe-core finds nothing, and a
 * phone shows all of it without scrolling sideways.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { Complaints } from "./browser.js";
import { Gateway, Sidecar } from "./gateway.js";
import { badge, close, fill, heading, isLive } from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "200ms", "--start", "1", "--max", "60"];
const GATEWAY = ["--cooldown", "500ms", "--settle", "300ms", "--poll-interval", "200ms"];
const CONFIGURATION = "[resources.api]\nmax = 60\n[resources.ingest]\nmax = 60\n";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Half of all looks: dialogs and what is rarely seen have the same parts in the others. */
const LOOKS = [{ colorScheme: "light", width: 1280, height: 800 }, { colorScheme: "dark", width: 360, height: 800 }];

const { gateway, complaints, open } = await stage({ simulate: SIDECAR, serve: GATEWAY, configuration: CONFIGURATION });

await gateway.close();

const plot = (page) => page.locator(".plot canvas").first().waitFor();

/** What axe-core finds, with where it is. */
async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run());
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join("; ")}`);
}

/** What is found wrong, by what was looked at. */
function looking() {
  const found = {};
  const look = async (page, name) => {
    const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    if (sizes[0] > sizes[1]) found[`${name}, width`] = sizes;
    const all = await violations(page);
    if (all.length > 0) found[name] = all;
  };
  return { found, look };
}

const enterKey = async (page, key) => {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Use this key" }).click();
};

const BAND = JSON.parse(readFileSync(new URL("../../examples/policies/queue-band.json", import.meta.url), "utf8"));

test("axe-core finds nothing on any page, and a phone shows all of it", async () => {
  const over = await gateway.submit({ resource: "api", targetCapacity: 2 });
  const going = await gateway.submit({ resource: "ingest", targetCapacity: 50, cooldownSeconds: 60, reason: "queue depth 812" });
  await gateway.submit({ resource: "ingest", targetCapacity: 3, onConflict: "queue" });
  const group = await gateway.submitGroup({ targets: { web: 2, mail: 50 }, stages: [["web"], ["mail"]], cooldownSeconds: 60 });
  await gateway.putPolicy("api", BAND);
  const { secret } = await gateway.makeKey({ name: "dashboard", scope: "read", expiresInSeconds: 86_400 });
  const pages = {
    resources: ["#/", plot],
    resource: ["#/resources/ingest", plot],
    policy: ["#/resources/api", async (page) => {
      await plot(page);
      await page.getByRole("region", { name: "Claims" }).waitFor();
    }],
    jobs: ["#/jobs", (page) => page.locator("tr[data-job]").nth(2).waitFor()],
    running: [`#/jobs/${going.id}`, plot],
    over: [`#/jobs/${over.id}`, plot],
    scale: ["#/scale?resource=ingest", async (page) => {
      await page.getByText("all unfinished jobs of the resource end").click();
      await page.getByText("Advanced").click();
      await fill(page, { "Target capacity": "9" });
      await page.locator(".plan-plot").waitFor();
    }],
    wrong: ["#/scale", async (page) => {
      await page.locator("#amount").press("Enter");
      await page.getByText("Enter a target").waitFor();
    }],
    groups: ["#/groups", (page) => page.locator("tr[data-group]").first().waitFor()],
    group: [`#/groups/${group.id}`, (page) => page.locator("[data-member=mail]").waitFor()],
    "scale several": ["#/scale-several", async (page) => {
      await page.getByLabel("Resource 1", { exact: true }).fill("ingest");
      await page.getByLabel("Target 1", { exact: true }).fill("many");
      await page.getByLabel("Target 1", { exact: true }).press("Enter");
      await page.getByText("Enter 3, +2 or −1").waitFor();
    }],
    access: ["#/access", (page) => page.locator(".attempts tbody tr").first().waitFor()],
    "new key": ["#/access", (page) => page.getByRole("button", { name: "Create a key" }).click()],
    about: ["#/about", (page) => heading(page, "About scalegate")],
    nowhere: ["#/nothing/here", (page) => heading(page, "There is no such page")],
  };
  const { found, look } = looking();
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 360], ["dark", 360]]) {
    complaints.expectAnswer("/v1/events", 401);
    const page = await open("", { colorScheme, width, height: 800 });
    await page.getByLabel("API key").waitFor();
    await look(page, `key, ${colorScheme} ${width}`);
    await enterKey(page, gateway.adminKey);
    await isLive(page);
    for (const [name, [hash, ready]] of Object.entries(pages)) {
      await page.goto(`${gateway.url}/${hash}`);
      await ready(page);
      await look(page, `${name}, ${colorScheme} ${width}`);
    }
    await page.evaluate((key) => sessionStorage.setItem("scalegate-key", key), secret);
    await page.goto(`${gateway.url}/#/jobs/${going.id}`);
    await page.reload();
    await page.getByText("The key of this tab cancels no jobs").waitFor();
    await look(page, `key to look, ${colorScheme} ${width}`);
    await close(page);
  }
  assert.deepEqual(found, {});
  assert.deepEqual(complaints.list(), []);
});

test("axe-core finds nothing in dialogs, with and without mistakes", async () => {
  const going = await gateway.submit({ resource: "asked", targetCapacity: 50, cooldownSeconds: 60 });
  await gateway.putPolicy("api", BAND);
  await gateway.putHold("api", { forSeconds: 3600, reason: "database migration" });
  await gateway.claim("api", { units: 2, forSeconds: 3600, owner: "nightly import" });
  await gateway.makeKey({ name: "one to revoke", scope: "read" });
  const resource = ["#/resources/api", (page) => page.getByRole("button", { name: "End the claim: At least 2" }).waitFor()];
  const access = ["#/access", (page) => page.getByText("one to revoke").first().waitFor()];
  const press = (name) => (page) => page.getByRole("button", { name, exact: true }).first().click();
  const send = (name) => (page) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
  const choose = (label) => (page) => page.getByRole("dialog").getByLabel(label).last().check();
  const dialogs = {
    cancel: [`#/jobs/${going.id}`, (page) => badge(page, "Running"), press("Cancel job")],
    hold: [...resource, press("Replace the hold"), choose("All but those to a capacity"), choose("at a time"), send("Hold")],
    "end of a hold": [...resource, press("End the hold")],
    claim: [...resource, press("Claim units"), choose("at a time"), send("Claim")],
    renewal: [...resource, press("Renew the claim: At least 2")],
    "end of a claim": [...resource, press("End the claim: At least 2")],
    revocation: [...access, (page) => page.getByRole("row", { name: "one to revoke" }).getByRole("button", { name: /^Revoke/ }).click()],
  };
  const { found, look } = looking();
  for (const looks of LOOKS) {
    complaints.expectAnswer("/v1/events", 401);
    const page = await open("", looks);
    await enterKey(page, gateway.adminKey);
    await isLive(page);
    for (const [name, [hash, ready, ...steps]] of Object.entries(dialogs)) {
      await page.goto(`${gateway.url}/${hash}`);
      await ready(page);
      for (const step of steps) await step(page);
      await page.getByRole("dialog").waitFor();
      if (steps.length > 1) await page.locator("dialog [aria-invalid=true]").first().waitFor();
      await look(page, `${name}, ${looks.colorScheme} ${looks.width}`);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
    // The secret of a new key, which is shown once.
    await press("Create a key")(page);
    await fill(page, { Name: `shown ${looks.width}` });
    await press("Create the key")(page);
    await page.getByText(/^sg_/).first().waitFor();
    await look(page, `new key, ${looks.colorScheme} ${looks.width}`);
    await close(page);
  }
  await gateway.cancel(going.id);
  assert.deepEqual(found, {});
  assert.deepEqual(complaints.list(), []);
});

test("axe-core finds nothing where there is nothing to show, and while something fails", async () => {
  const own = await Sidecar.start(SIDECAR);
  const bare = await Gateway.start(own, GATEWAY);
  const heard = new Complaints(bare.url);
  const { found, look } = looking();
  const pages = await Promise.all(LOOKS.map((looks) => open("", { ...looks, origin: bare.url, expected: heard })));
  const each = async (name, visit) => {
    for (const [index, page] of pages.entries()) {
      await visit(page);
      await look(page, `${name}, ${LOOKS[index].colorScheme} ${LOOKS[index].width}`);
    }
  };
  const to = (hash, ready) => async (page) => {
    await page.goto(`${bare.url}/${hash}`);
    await ready(page);
  };
  try {
    await each("nothing", to("#/", (page) => heading(page, "Nothing has been scaled yet")));
    await each("no jobs", to("#/jobs", (page) => page.getByText("No jobs").first().waitFor()));
    await each("a resource without a past", to("#/resources/new", (page) => page.getByText("No jobs.").waitFor()));
    await each("no keys", to("#/access", (page) => page.getByRole("heading", { name: "Audit log" }).waitFor()));
    const { id } = await bare.submit({ resource: "worker", targetCapacity: 50, cooldownSeconds: 60 });

    await own.kill();
    const isDown = (page) => page.getByText("The sidecar does not answer").waitFor();
    await each("no sidecar", to("#/resources/worker", async (page) => {
      await page.getByRole("button", { name: "Read worker again" }).click();
      await isDown(page);
    }));
    await each("resources without a sidecar", to("#/", isDown));
    await each("a job without a sidecar", to(`#/jobs/${id}`, (page) => page.getByText("No estimate while").first().waitFor()));

    heard.outage(Date.now());
    await bare.kill();
    const isAway = (page) => page.locator(".connection-lost").waitFor();
    await each("no gateway", to("#/", isAway));
    await each("a job without a gateway", to(`#/jobs/${id}`, isAway));
    await each("what was not read", to("#/resources/unread", (page) => page.getByText("Not read, see above.").first().waitFor()));
    await Promise.all(pages.map(close));
  } finally {
    await bare.stop();
  }
  assert.deepEqual(found, {});
  assert.deepEqual(heard.list(), []);
});
