/** Who may do what, and who tried: API keys and the audit log, for admins. */

import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { loadCaller } from "../loading.js";
import { idOf, session } from "../session.js";
import { announce } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Attempts } from "./attempts.js";
import { NewKeyForm } from "./newkey.js";
import { Badge, Dialog, Notice, Refusal, Sign, Time } from "./parts.js";

export class AccessPage extends Component {
  state = {
    keys: null,
    problem: null,
    /** Whether the form for a key is shown, and the key that was made with it: `{secret, key, isOurs}`. */
    isMaking: false,
    made: null,
    /** The key that is about to be revoked. */
    revoking: null,
    /** Counts changes, after each of which there is a new attempt to show. */
    changes: 0,
  };

  componentDidMount() {
    this.#load();
  }

  #load = async () => {
    try {
      const keys = await api.keys();
      this.setState(({ changes }) => ({ keys, problem: null, changes: changes + 1 }));
    } catch (problem) {
      this.setState({ problem });
    }
  };

  #made = (made) => {
    this.setState({ isMaking: false, made });
    announce("The key was made. It is shown only now.");
    // The first key of a gateway is this tab's.
    loadCaller();
    this.#load();
  };

  #revoked = () => {
    this.setState({ revoking: null }, () => document.querySelector("h1")?.focus());
    announce("The key was revoked.");
    this.#load();
  };

  render(_, { keys, problem, isMaking, made, revoking, changes }) {
    const head = (more) => h("div", { class: "heading" }, h("h1", { tabIndex: -1 }, "Access"), more);
    if (problem?.code === "insufficient_scope") {
      return h("div", { class: "page" }, head(), h(Notice, { tone: "idle", title: "This page is for admins" },
        h("p", null, "The key of this tab does not allow to manage keys, which takes one with the scope admin.")));
    }
    if (keys === null) {
      return h("div", { class: "page" }, head(), problem ? h(Refusal, { error: problem }, h(Again, { load: this.#load }))
        : h("p", { class: "quiet" }, "Loading…"));
    }
    const isOpen = session.key === null;
    const good = keys.filter(({ state }) => state === "active").reverse();
    const over = keys.filter(({ state }) => state !== "active").reverse();
    const revoke = (key) => this.setState({ revoking: key });
    return h("div", { class: "page access" },
      head(h(Fragment, null, h("span", { class: "grow" }),
        h("button", {
          type: "button", class: "small icon", "aria-label": "Read keys and audit log again",
          title: "Read keys and audit log again", onClick: this.#load,
        }, h(Sign, { name: "refresh" })),
        !isMaking && h("button", { type: "button", onClick: () => this.setState({ isMaking: true, made: null }) },
          "Create a key"))),
      h(Refusal, { error: problem }),
      made && h(Secret, { made, onDone: () => this.setState({ made: null }) }),
      isMaking && h(NewKeyForm, {
        isFirst: isOpen && keys.length === 0, onMade: this.#made, onLeave: () => this.setState({ isMaking: false }),
      }),
      isOpen && !isMaking && h(Open, { hasKeys: keys.length > 0 }),
      h("h2", null, "API keys"),
      good.length > 0 ? h(KeyTable, { keys: good, revoke })
        : h("p", { class: "quiet" }, over.length > 0 ? "No key is active." : "There are no keys yet."),
      over.length > 0 && h("details", null,
        h("summary", null, over.length === 1 ? "1 key that has ended" : `${format.number(over.length)} keys that have ended`),
        h(KeyTable, { keys: over })),
      h("h2", null, "Audit log"),
      h(Attempts, { changes }),
      revoking && h(Revocation, {
        key: revoking.id, of: revoking, onRevoked: this.#revoked, onLeave: () => this.setState({ revoking: null }),
      }));
  }
}

const Again = ({ load }) => h("p", null, h("button", { type: "button", onClick: load }, "Try again"));

const Open = ({ hasKeys }) =>
  h(Notice, { tone: "warn", title: "Every caller who reaches this gateway may do everything" },
    h("p", null, hasKeys
      ? "It is configured to need no key."
      : "It needs no key as long as there is none. The first one that is made changes that, for every caller."));

const isOfThisTab = ({ id }) => session.key !== null && idOf(session.key) === id;

/** On a narrow screen rows are grids, which are no tables any more unless their roles say so. */
const KeyTable = ({ keys, revoke }) =>
  h("table", { class: "keys listing", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      ["Key", "Scope", "Resources", "State", "Last used", "Expires"].map((name) =>
        h("th", { key: name, role: "columnheader", scope: "col" }, name)),
      revoke && h("th", { role: "columnheader", scope: "col" }, h("span", { class: "only-aloud" }, "Revoke")))),
    h("tbody", { role: "rowgroup" }, keys.map((key) => h(KeyRow, { key: key.id, of: key, revoke }))));

/** A fact in a table, which a narrow screen shows with its name. */
const Cell = ({ name, at, children }) =>
  h("td", { role: "cell", class: `at-${at}` }, h("span", { class: "cell-name", "aria-hidden": "true" }, `${name} `), children);

function KeyRow({ of: key, revoke }) {
  const all = h("span", { class: "quiet" }, "all");
  return h("tr", { role: "row", "data-key": key.id },
    h("td", { role: "cell", class: "at-key" },
      h("strong", null, key.name), " ",
      h("span", { class: "key-id" }, h("code", { class: "quiet" }, key.id),
        isOfThisTab(key) && h(Badge, { look: { text: "This tab", tone: "run", sign: "dot" } }))),
    h(Cell, { name: "Scope", at: "scope" }, key.scope),
    h(Cell, { name: "Resources", at: "resources" }, key.resources?.join(", ") ?? all),
    h("td", { role: "cell", class: "at-state" }, h(Badge, { look: words.keyState(key) })),
    h(Cell, { name: "Last used", at: "used" },
      key.lastUsedAt ? h(LongAgo, { at: key.lastUsedAt }) : h("span", { class: "quiet" }, "never")),
    h(Cell, { name: "Expires", at: "expires" },
      key.expiresAt ? h(Time, { at: key.expiresAt }, format.day(key.expiresAt)) : h("span", { class: "quiet" }, "never")),
    revoke && h("td", { role: "cell", class: "at-action" }, key.configured
      ? h("span", { class: "quiet", title: "Only the configuration can take it away" }, "configured")
      : h("button", { type: "button", class: "small danger", "aria-label": `Revoke ${key.name}`, onClick: () => revoke(key) },
          "Revoke")));
}

/** The gateway notes uses within ten minutes of each other as one. */
function LongAgo({ at }) {
  const millis = gatewayNow() - Date.parse(at);
  return h(Time, { at }, millis < 600_000 ? "< 10 min ago" : format.ago(millis));
}

/** A key that was just made, shown this once. */
class Secret extends Component {
  state = { copied: null };
  #text = null;

  async #copy() {
    const text = this.#text;
    let copied = "Copied";
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      // A page that is not served over TLS or from this machine has no clipboard, or the browser was told so.
      getSelection().selectAllChildren(text);
      copied = "Selected";
    }
    this.setState({ copied });
    announce(copied === "Copied" ? "The key was copied." : "The key is selected. Copy it with the keyboard.");
  }

  render({ made: { secret, key, isOurs }, onDone }, { copied }) {
    return h(Notice, { tone: "good", role: "status", title: `The key “${key.name}” was made` },
      h("p", null, "It is shown only now: the gateway keeps nothing that it could be shown from again. ",
        isOurs && "From now on a key is needed, and this tab uses this one."),
      h("pre", { class: "secret" }, h("code", { ref: (element) => (this.#text = element ?? this.#text) }, secret)),
      h("div", { class: "actions start" },
        h("button", { type: "button", class: "primary", onClick: () => this.#copy() },
          h(Sign, { name: copied ? "check" : "copy" }), copied ?? "Copy"),
        h("button", { type: "button", onClick: onDone }, "I have it, hide it")));
  }
}

class Revocation extends Component {
  state = { sending: false, error: null };

  async #revoke() {
    this.setState({ sending: true, error: null });
    try {
      await api.revokeKey(this.props.of.id);
      this.props.onRevoked();
    } catch (error) {
      this.setState({ sending: false, error });
    }
  }

  render({ of: key, onLeave }, { sending, error }) {
    return h(Dialog, { title: `Revoke the key “${key.name}”?`, onClose: onLeave },
      h("p", null, "Requests with ", h("code", null, key.id), " are refused from then on, and streams opened with it end. ",
        "Jobs submitted with it go on. This cannot be undone."),
      isOfThisTab(key) && h(Notice, { tone: "warn" },
        h("p", null, "It is the key of this tab, which will ask for another one.")),
      h(Refusal, { error }),
      h("div", { class: "actions" },
        h("button", { type: "button", autoFocus: true, onClick: onLeave }, "Keep the key"),
        h("button", { type: "button", class: "danger strong", disabled: sending, onClick: () => this.#revoke() },
          "Revoke the key")));
  }
}
