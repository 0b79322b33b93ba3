/** Groups, in a real browser: submitted with their plan, followed by their stream, canceled, and taken back. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { LOOKS, badge, close, fits, heading, isLive, unnamed } from "./page.js";
import { stage } from "./stage.js";

const SIDECAR = ["--provisioning", "200ms", "--start", "1", "--max", "6"];
const GATEWAY = ["--cooldown", "200ms", "--settle", "300ms", "--poll-interval", "100ms", "--active-timeout", "20s"];
const ALIASES = ["api", "db", "web", "worker", "mail", "first", "second"];

const { gateway, complaints, open, picture } = await stage({
  simulate: SIDECAR, serve: GATEWAY, configuration: ALIASES.map((alias) => `[resources.${alias}]\n`).join(""),
});

const member = (page, alias) => page.locator(`[data-member="${alias}"]`);
const facts = async (page, alias) => (await member(page, alias).locator("dd").allInnerTexts()).join(" ");

async function fillRow(page, number, resource, target, stage) {
  await page.getByLabel(`Resource ${number}`, { exact: true }).fill(resource);
  await page.getByLabel(`Target ${number}`, { exact: true }).fill(target);
  await page.getByLabel(`Stage ${number}`, { exact: true }).fill(stage);
}

test("a group is planned while one types, submitted once, and followed to its end without a reload", async () => {
  const page = await open("#/groups");
  await isLive(page);
  await page.getByText("No groups yet").waitFor();
  await page.getByRole("link", { name: "Scale several", exact: true }).click();
  await heading(page, "Scale several resources");
  await fillRow(page, 1, "db", "2", "1");
  await fillRow(page, 2, "api", "+2", "2");
  await page.getByLabel("Reason").fill("new release");
  for (const text of ["Stage 1", "db: 1 → 2 in 1 step", "Stage 2", "api: 1 → 3 in 2 steps"]) await page.locator(".plan").getByText(text).waitFor();
  // What is wrong stands at its row, and has the focus.
  await page.getByLabel("Target 2", { exact: true }).fill("many");
  await page.getByLabel("Target 2", { exact: true }).press("Enter");
  await page.getByText("Enter 3, +2 or −1").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "member-1-amount");
  await page.getByLabel("Target 2", { exact: true }).fill("+2");
  await page.getByText("api: 1 → 3 in 2 steps").waitFor();
  await page.getByRole("button", { name: "Submit group" }).click();
  await page.waitForURL(/#\/groups\/[0-9a-f-]{36}$/);
  await heading(page, "api, db");
  await badge(page, "Succeeded");
  assert.equal(await facts(page, "db"), "1 2 2");
  assert.equal(await facts(page, "api"), "1 3 3");
  await page.getByText("All members reached their targets").waitFor();
  assert.ok(await page.evaluate(() => window.notReloaded));
  const [group] = (await gateway.get("/v1/groups")).groups;
  assert.deepEqual(group.members.map(({ resource, stage }) => [resource, stage]), [["api", 2], ["db", 1]]);
  assert.equal((await gateway.get("/v1/groups")).groups.length, 1);

  // A job of a group leads to it, and the list to both.
  await member(page, "db").getByRole("link", { name: "Job" }).click();
  await heading(page, "db 1 → 2");
  await page.getByRole("link", { name: "Part of a group" }).click();
  await heading(page, "api, db");
  await page.getByRole("navigation").getByRole("link", { name: "Groups" }).click();
  await page.locator(`tr[data-group="${group.id}"][data-state="succeeded"]`).getByText("new release").waitFor();
  await page.getByRole("button", { name: "Unfinished" }).click();
  await page.getByText("No group matches").waitFor();
  await close(page);
  assert.deepEqual(complaints.list(), []);
});

test("a group waits stage by stage, and is canceled after a look at what becomes of its members", async () => {
  const group = await gateway.submitGroup({
    targets: { web: 3, worker: { targetCapacity: 4, stepSize: 3 } }, stages: [["web"], ["worker"]], cooldownSeconds: 60, reason: "load test",
  });
  const page = await open("#/groups?state=running");
  await page.locator(`tr[data-group="${group.id}"]`).getByRole("link", { name: "web, worker" }).click();
  await member(page, "web").getByText("Waits for the cooldown").waitFor();
  await member(page, "worker").getByText("Waits for the earlier stages of its group").waitFor();
  assert.equal(await facts(page, "web"), "1 2 3");
  await page.getByText(/^1 (of \d+ steps|step taken)/).waitFor();
  for (const [colorScheme, width, height] of LOOKS) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await fits(page, "group");
    await picture(page, `group-${colorScheme}-${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  assert.deepEqual(await page.evaluate(unnamed), []);

  // The resource tells that its job is part of a group.
  await page.goto(`${gateway.url}/#/resources/web`);
  await page.getByRole("link", { name: "Part of a group" }).click();
  await page.getByRole("button", { name: "Cancel group" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("has not begun; nothing is changed").waitFor();
  await dialog.getByText("otherwise it stays at 2").waitFor();
  await page.keyboard.press("Escape");
  assert.equal((await gateway.get(`/v1/groups/${group.id}`)).canceled, false);
  await page.getByRole("button", { name: "Cancel group" }).click();
  await dialog.getByRole("button", { name: "Cancel the group" }).click();
  await badge(page, "Canceled");
  await close(page);
  assert.deepEqual(complaints.list(), []);
});

test("what has moved is taken back when a member fails", async () => {
  const group = await gateway.submitGroup({
    targets: { first: 3, second: { targetCapacity: 9, stepSize: 9 } }, stages: [["first"], ["second"]], onFailure: "restore",
  });
  const page = await open(`#/groups/${group.id}`);
  await badge(page, "Failed");
  await member(page, "first").getByText("Is back at 1").waitFor();
  assert.equal(await facts(page, "first"), "1 1 3");
  await member(page, "second").locator(".advice", { hasText: "set min and max" }).getByText("sidecar_rejected").waitFor();
  await page.locator(".summary", { hasText: "second" }).waitFor();
  await fits(page, "a failed group");
  await picture(page, "group-restored");
  await close(page);
  assert.deepEqual(complaints.list(), []);
});

test("a group that is not there is said to be missing, and is not asked for again and again", async () => {
  const id = "0198c3f2-7a00-7000-8000-000000000007";
  complaints.expectAnswer(`/v1/groups/${id}/events`, 404);
  const page = await open(`#/groups/${id}`);
  await heading(page, "There is no such group");
  await close(page);
  assert.deepEqual(complaints.list(), []);
});
