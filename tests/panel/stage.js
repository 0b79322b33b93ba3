/** What the tests in a browser begin with: a simulated sidecar, a gateway, Chromium, and what its pages complain about. */

import { after } from "node:test";

import { Complaints, launch } from "./browser.js";
import { Gateway, Sidecar } from "./gateway.js";
import { openPage, picturesIn, takePicture } from "./page.js";

/** All of it, which ends with the tests. `options` are those of `simulate` and of `serve`, and the gateway's file. */
export async function stage({ simulate, serve, configuration }) {
  const screenshots = await picturesIn();
  const browser = await launch();
  const sidecar = await Sidecar.start(simulate);
  const gateway = await Gateway.start(sidecar, serve, configuration);
  const complaints = new Complaints(gateway.url);
  after(async () => {
    await browser.close();
    await gateway.stop();
    await sidecar.stop();
  });
  /** A page with nothing remembered, as a colleague would open it. */
  const open = (hash = "", { origin = gateway.url, expected = complaints, ...look } = {}) =>
    openPage(browser, `${origin}/${hash}`, { expected, ...look });
  const picture = (page, name) => takePicture(page, screenshots, name);
  return { browser, sidecar, gateway, complaints, open, picture };
}

/**
 * A page on which nothing runs, and which may load what the panel may. `within` runs `code` in it, with a module of the panel and
 * an argument.
 */
export async function blankStage() {
  const browser = await launch();
  const gateway = await Gateway.start({ address: "127.0.0.1:9" }, []);
  after(async () => {
    await browser.close();
    await gateway.stop();
  });
  const blank = `${gateway.url}/panel/vendor/preact.LICENSE.txt`;
  const page = await browser.newPage();
  await page.goto(blank);
  const within = (module, code, argument) =>
    page.evaluate(`import("/panel/${module}").then((module) => (${code})(module, ${JSON.stringify(argument)}))`);
  return { browser, page, blank, within };
}
