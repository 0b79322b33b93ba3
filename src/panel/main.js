/** Puts the panel together: the page follows the address, and is drawn again when something changes. */

import * as live from "./live.js";
import { entered } from "./loading.js";
import { parse } from "./routes.js";
import { changed, onChange, store } from "./store.js";
import { h, render } from "./vendor/preact.mjs";
import { App } from "./views/app.js";

const root = document.getElementById("panel");

function navigate({ isFirst = false } = {}) {
  const before = store.route;
  const route = parse(location.hash);
  store.route = route;
  store.announcement = "";
  entered(route, isFirst ? { params: {} } : before, isFirst);
  draw();
  const isSamePage = before.name === route.name && JSON.stringify(before.params) === JSON.stringify(route.params);
  // Filters change the address, but the view stays where it is.
  if (isFirst || isSamePage || (before.name === route.name && ["jobs", "groups", "resources"].includes(route.name))) return;
  window.scrollTo(0, 0);
  root.querySelector("h1")?.focus({ preventScroll: true });
}

const draw = () => render(h(App, null), root);

onChange(draw);
window.addEventListener("hashchange", () => navigate());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
navigate({ isFirst: true });
live.start();
