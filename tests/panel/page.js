/** What tests do with a page of the panel. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Longest wait for anything to be seen; far more than it takes. */
export const PATIENCE_MILLIS = 20_000;

/** Colours and sizes that pages are looked at with. */
export const LOOKS = ["light", "dark"].flatMap((colorScheme) => [
  [colorScheme, 1280, 900],
  [colorScheme, 390, 844],
]);

/**
 * A page in a context of its own: nothing is remembered, and what it complains about is `expected` to be heard. `routes` are pairs
 * of an address and what answers requests for it, from the first one on.
 */
export async function openPage(browser, address, { width = 1280, height = 900, colorScheme = "light", timezoneId, routes = [], expected } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce", timezoneId });
  await expected.listenTo(context);
  for (const [url, answer] of routes) await context.route(url, answer);
  return another(context, address);
}

/** One more page, next to those that `context` has. */
export async function another(context, address) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MILLIS);
  await page.goto(address);
  // From now on a reload would be noticed.
  await page.evaluate(() => (window.notReloaded = true));
  return page;
}

/** Closes a page with its context. An answer that a test is changing at that moment has no page to go to. */
export async function close(page) {
  await Promise.all([page, page.context()].map((routed) => routed.unrouteAll({ behavior: "ignoreErrors" })));
  await page.context().close();
}

export const isLive = (page) => page.locator('.connection[data-phase="open"]').waitFor();
export const heading = (page, text) => page.getByRole("heading", { level: 1, name: text }).waitFor();
export const badge = (page, text) => page.locator(".heading .badge", { hasText: text }).waitFor();

export async function fill(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
}

/** Waits for the page of a job; returns its id. */
export async function jobShown(page) {
  await page.waitForURL(/#\/jobs\/[0-9a-f-]{36}$/);
  return page.url().split("/").at(-1);
}

/** Keeps answers of the gateway to `url` back until `release` is called; `answered` is over once there is the first. */
export async function holdAnswers(page, url, options) {
  let release, tell;
  const held = new Promise((resolve) => (release = resolve));
  const answered = new Promise((resolve) => (tell = resolve));
  const hold = async (route) => {
    const answer = await route.fetch();
    tell();
    await held;
    await route.fulfill({ response: answer });
  };
  await page.route(url, hold, options);
  return { answered, release };
}

/** Where pictures go: to what SCREENSHOTS names, or to a new directory. */
export async function picturesIn() {
  const directory = process.env.SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), "scalegate-screenshots-")));
  await mkdir(directory, { recursive: true });
  return directory;
}

export async function takePicture(page, directory, name) {
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

/** What a person with a screen reader would stumble over, as far as a program can tell. Runs in the page. */
export function unnamed() {
  const name = (element) =>
    element.getAttribute("aria-label") ??
    element.labels?.[0]?.textContent ??
    element.textContent ??
    element.getAttribute("title");
  const nameless = [
    ...document.querySelectorAll("a, button, input, select, textarea, [role=img], [role=progressbar]"),
  ].filter((element) => !name(element)?.trim());
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const repeated = ids.filter((id, index) => ids.indexOf(id) !== index);
  return [...nameless.map((element) => element.outerHTML.slice(0, 200)), ...repeated.map((id) => `id ${id} twice`)];
}

/** Nothing sticks out at the side, on a phone also on a narrower one. */
export async function fits(page, name) {
  const { width, height } = page.viewportSize();
  for (const tried of width === 390 ? [390, 360] : [width]) {
    await page.setViewportSize({ width: tried, height });
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(tooWide <= 0, `${name} is ${tooWide} px too wide at ${tried}`);
  }
  await page.setViewportSize({ width, height });
}
