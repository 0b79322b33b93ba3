/** A real Chromium, and everything a page complains about. */

import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** How requests fail while a gateway ends, is away, and starts. */
const OUT = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)$|status of 503 /;

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Chromium, with an empty profile that is thrown away afterwards. */
export async function launch() {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(
      `There is no ${EXECUTABLE}. Install Chromium (Debian: apt-get install chromium), or set CHROMIUM to it.`,
    );
  }
  return chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
}

/**
 * What pages complained about: errors and warnings on the console, exceptions, violations of the policy, and requests to
 * any server but the gateway.
 *
 * Chromium itself logs each request that fails or is refused, which no page can keep it from. What a test provokes it
 * announces, and that, and no more, is not counted.
 */
export class Complaints {
  #all = [];
  #outages = [];
  #announced = [];

  constructor(origin) {
    this.origin = origin;
  }

  /** Pages of `context` are listened to from their beginning. */
  async listenTo(context) {
    await context.exposeBinding("reportViolation", (_, text) => this.#add("policy", text));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) =>
        window.reportViolation(
          `${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`,
        ),
      );
    });
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.#add("console", message.text(), message.location().url);
    });
    context.on("weberror", (error) => this.#add("exception", error.error().stack));
    context.on("request", (request) => {
      if (new URL(request.url()).origin !== this.origin) this.#add("other host", request.url());
    });
  }

  #add(kind, text, url) {
    this.#all.push({ kind, text, url, at: Date.now() });
  }

  /** The next request for `path` will be answered with `status`. */
  expectAnswer(path, status) {
    this.#announced.push({ url: this.origin + path, text: new RegExp(`status of ${status} `), used: false });
  }

  /** The next request for `path` will get no answer. */
  expectFailure(path) {
    this.#announced.push({ url: this.origin + path, text: /net::ERR_CONNECTION_RESET$/, used: false });
  }

  /** From `begin` until `end()` is called the gateway is away. */
  outage(begin) {
    const outage = { begin, end: Infinity };
    this.#outages.push(outage);
    return { end: () => (outage.end = Date.now()) };
  }

  list() {
    for (const announced of this.#announced) announced.used = false;
    return this.#all.filter((complaint) => !this.#isProvoked(complaint));
  }

  #isProvoked({ kind, text, url, at }) {
    if (kind !== "console" || !text.startsWith("Failed to load resource: ")) return false;
    const announced = this.#announced.find((one) => !one.used && one.url === url && one.text.test(text));
    if (announced) return (announced.used = true);
    const isOut = this.#outages.some(({ begin, end }) => begin <= at && at <= end);
    // The icon is asked for by the browser, at moments of its own.
    const isAsked = ["/v1/", "/readyz", "/panel/icon.svg"].some((path) => url.startsWith(this.origin + path));
    // One that has just started answers with 503 until it knows its jobs.
    return isOut && isAsked && OUT.test(text);
  }
}
