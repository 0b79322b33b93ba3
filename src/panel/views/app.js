/** The frame around every page: where to go, how the connection does, and the page itself. */

import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { retryNow } from "../live.js";
import { cause } from "../outage.js";
import { hrefs } from "../routes.js";
import { session } from "../session.js";
import { changed, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { LOCAL_ZONE, UTC, offset, timeZone, useZone } from "../zone.js";
import { AboutPage, VERSION, metricsAreOpen } from "./about.js";
import { AccessPage } from "./access.js";
import { ScaleLink } from "./asking.js";
import { GroupPage } from "./group.js";
import { GroupsPage } from "./groups.js";
import { JobPage } from "./job.js";
import { JobsPage } from "./jobs.js";
import { Caller, KeyForm } from "./key.js";
import { Notice, Sign } from "./parts.js";
import { ResourcePage } from "./resource.js";
import { ResourcesPage } from "./overview.js";
import { ScalePage } from "./scale.js";
import { SeveralPage } from "./several.js";

export function App() {
  const { route } = store;
  const isAdmitted = session.phase === "admitted";
  document.title = title();
  return h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main", onClick: skip }, "Skip to the content"),
    h("header", { class: "top" },
      h("div", { class: isAdmitted ? "top-inner" : "top-inner bare" },
        h("a", { class: "brand", href: hrefs.resources }, h(Logo), "scalegate"),
        isAdmitted && h(Places, { route }),
        h("span", { class: "grow" }),
        isAdmitted && h(ConnectionSign),
        isAdmitted && h(Caller),
        isAdmitted && !["scale", "scale-several"].includes(route.name) && h(ScaleLink, { alias: route.params.alias }))),
    // Whether the gateway cannot be reached is worth a word before it has answered.
    h("section", { class: "banners", "aria-label": "Notices" }, session.phase !== "locked" && h(Banners), isAdmitted && h(LateRefusal)),
    h("main", { id: "main", tabIndex: -1 },
      session.phase === "locked" ? h(KeyForm) : isAdmitted && h(Page, { route })),
    h("footer", null,
      h("span", null, `scalegate ${VERSION}`),
      h("a", { href: "/docs/" }, "API documentation"),
      metricsAreOpen() && h("a", { href: "/metrics" }, "Metrics"),
      isAdmitted && h("a", { href: hrefs.about }, "About"),
      h("span", { class: "grow" }),
      h(Zone)),
    h("div", { class: "only-aloud", role: "status", "aria-live": "polite" }, store.announcement));
}

/** Tells the zone of all times, and changes it. */
function Zone() {
  const zone = timeZone();
  const other = zone === UTC ? LOCAL_ZONE : UTC;
  const change = () => {
    useZone(other);
    changed();
  };
  return h("span", { class: "zone" },
    zone === UTC ? "Times in UTC" : `Times in ${zone}, ${offset(gatewayNow())}`,
    other !== zone && h("button", { type: "button", class: "small", onClick: change }, `Show ${other}`));
}

const Places = ({ route: { name } }) =>
  h("nav", { "aria-label": "Pages" },
    h(NavLink, { href: hrefs.resources, isHere: ["resources", "resource"].includes(name) }, "Resources"),
    h(NavLink, { href: hrefs.jobs(), isHere: ["jobs", "job"].includes(name) }, "Jobs"),
    h(NavLink, { href: hrefs.groups(), isHere: ["groups", "group", "scale-several"].includes(name) }, "Groups"),
    session.lacks.has("admin")
      ? h("a", { role: "link", "aria-disabled": "true", title: "Keys and the audit log take a key with the scope admin" }, "Access")
      : h(NavLink, { href: hrefs.access, isHere: name === "access" }, "Access"));

const Logo = () =>
  h("svg", { class: "logo", viewBox: "0 0 16 16", "aria-hidden": "true" },
    h("rect", { width: 16, height: 16, rx: 3.5 }),
    h("path", { d: "M3 12h3.3V8.6h3.4V5.2H13" }));

function skip(event) {
  // The address of the page is after the #; this link must not take its place.
  event.preventDefault();
  document.getElementById("main").focus();
}

const NavLink = ({ href, isHere, children }) => h("a", { href, "aria-current": isHere ? "page" : undefined }, children);

function title() {
  const { name, params } = store.route;
  if (session.phase !== "admitted") return "scalegate";
  if (name === "resource") return `${params.alias} · scalegate`;
  if (name === "jobs") return "Jobs · scalegate";
  if (name === "scale") return "Scale · scalegate";
  if (name === "scale-several") return "Scale several · scalegate";
  if (name === "groups") return "Groups · scalegate";
  const group = name === "group" && store.groups.get(params.id);
  if (group) return `${words.groupState(group).text}: group · scalegate`;
  if (name === "access") return "Access · scalegate";
  if (name === "about") return "About · scalegate";
  const job = name === "job" && store.jobs.get(params.id);
  if (job) return `${words.state(job).text}: ${job.resource} ${words.goal(job)} · scalegate`;
  return "scalegate";
}

function Page({ route }) {
  const { name, params } = route;
  switch (name) {
    case "resources": return h(ResourcesPage, params);
    case "resource": return h(ResourcePage, { key: params.alias, alias: params.alias });
    case "jobs": return h(JobsPage, params);
    case "job": return h(JobPage, { key: params.id, id: params.id });
    case "groups": return h(GroupsPage, { key: JSON.stringify(params), ...params });
    case "group": return h(GroupPage, { key: params.id, id: params.id });
    case "scale-several": return h(SeveralPage);
    case "scale": return h(ScalePage, { key: `${params.alias} ${params.again}`, alias: params.alias, again: params.again });
    case "access": return h(AccessPage);
    case "about": return h(AboutPage);
    default: return h("div", { class: "empty" },
      h("h1", { tabIndex: -1 }, "There is no such page"),
      h("p", null, h("a", { href: hrefs.resources }, "To the resources")));
  }
}

/** How a gateway that is heard is doing, by what is out of order. */
const HEARD = {
  nothing: { tone: "good", text: "Live" },
  gateway: { tone: "bad", text: "No answer" },
  store: { tone: "bad", text: "Store fails" },
  sidecar: { tone: "warn", text: "Sidecar down" },
};

function ConnectionSign() {
  const { phase, mentioned, wasOpen } = store.connection;
  const look = phase === "open" ? HEARD[cause() ?? "nothing"]
    : mentioned ? { tone: "bad", text: "Offline" } : { tone: "idle", text: wasOpen ? "Reconnecting" : "Connecting" };
  return h("span", { class: `connection tone-${look.tone}`, "data-phase": phase },
    h(Sign, { name: "dot" }), h("span", null, look.text));
}

/** A reason was given by the gateway, so it was reached. */
function disconnected({ reason, wasOpen }) {
  if (reason) return "The gateway sends no events at present.";
  return wasOpen ? "The connection to the gateway is lost." : "The gateway cannot be reached.";
}

/** What the reader should know before believing the page. */
function Banners() {
  const { connection, readiness } = store;
  if (connection.phase !== "open" && connection.mentioned) {
    const left = connection.retryAt ? Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000)) : 0;
    const next = connection.phase === "waiting" && left > 0 ? `Trying again in ${left} s.` : "Trying again…";
    return h("div", { class: "notice tone-bad connection-lost" },
      h(Sign, { name: "cross" }),
      h("div", null,
        // Only the words that stay are read aloud; the countdown is not.
        h("strong", { role: "status" }, disconnected(connection)),
        h("p", null, connection.reason ? `${format.complaint(connection.reason)} ` : "",
          connection.wasOpen && `What is shown is as of ${format.time(connection.lostAt)}. `,
          connection.wasOpen && "Jobs do not depend on this page. ",
          h("span", { class: "num" }, next))),
      h("button", { type: "button", onClick: retryNow }, "Try now"));
  }
  if (connection.phase === "open" && store.isSilent) {
    return h(Notice, { tone: "bad", role: "status", title: "The gateway does not answer" },
      h("p", null, "It is asked again until it does. What is shown may be out of date."));
  }
  if (readiness?.problem) {
    const { title, detail } = readiness.problem;
    return h(Notice, { tone: "bad", role: "status", title }, h("p", null, detail));
  }
  if (readiness?.sidecar?.reachable === false) return h(SidecarDown, readiness.sidecar);
  return null;
}

const LateRefusal = () =>
  store.lateRefusal &&
  h(Notice, { tone: "bad", title: store.lateRefusal.title }, h("p", null, format.sentence(store.lateRefusal.detail)));

function SidecarDown({ lastAnswerAt, lastFailure }) {
  const ago = format.ago(gatewayNow() - Date.parse(lastAnswerAt));
  const since = lastAnswerAt ? `${format.time(lastAnswerAt)}, ${ago}` : null;
  return h(Notice, { tone: "warn", role: "status", title: "The sidecar does not answer" },
    h("p", null,
      lastFailure && `${format.complaint(lastFailure)} `,
      since ? `It last answered at ${since}. ` : "It has not answered yet. ",
      "Capacities may be out of date, and jobs wait for it."));
}
