/** Every page, light and dark: axe-core finds nothing, and a phone shows all of it without scrolling sideways. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { close, fill, heading, isLive } from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "200ms", "--start", "1", "--max", "60"];
const GATEWAY = ["--cooldown", "500ms", "--settle", "300ms", "--poll-interval", "200ms"];
const CONFIGURATION = "[resources.api]\nmax = 60\n[resources.ingest]\nmax = 60\n";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const { gateway, complaints, open } = await stage({ simulate: SIDECAR, serve: GATEWAY, configuration: CONFIGURATION });

const plot = (page) => page.locator(".plot canvas").first().waitFor();

/** What axe-core finds, with where it is. */
async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run());
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join("; ")}`);
}

test("axe-core finds nothing on any page, and a phone shows all of it", async () => {
  await gateway.close();
  const over = await gateway.submit({ resource: "api", targetCapacity: 2 });
  const going = await gateway.submit({ resource: "ingest", targetCapacity: 50, cooldownSeconds: 60, reason: "queue depth 812" });
  await gateway.submit({ resource: "ingest", targetCapacity: 3, onConflict: "queue" });
  const band = new URL("../../examples/policies/queue-band.json", import.meta.url);
  await gateway.putPolicy("api", JSON.parse(readFileSync(band, "utf8")));
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
    access: ["#/access", (page) => page.locator(".attempts tbody tr").first().waitFor()],
    "new key": ["#/access", (page) => page.getByRole("button", { name: "Create a key" }).click()],
    about: ["#/about", (page) => heading(page, "About scalegate")],
    nowhere: ["#/nothing/here", (page) => heading(page, "There is no such page")],
  };
  const found = {};
  const look = async (page, name) => {
    const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    if (sizes[0] > sizes[1]) found[`${name}, width`] = sizes;
    const all = await violations(page);
    if (all.length > 0) found[name] = all;
  };
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 360], ["dark", 360]]) {
    complaints.expectAnswer("/v1/events", 401);
    const page = await open("", { colorScheme, width, height: 800 });
    await page.getByLabel("API key").waitFor();
    await look(page, `key, ${colorScheme} ${width}`);
    await page.getByLabel("API key").fill(gateway.adminKey);
    await page.getByRole("button", { name: "Use this key" }).click();
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
