/** The API key of this tab: the form that asks for it, and the place in the header that tells whose it is. */

import * as api from "../api.js";
import * as format from "../format.js";
import { cleaned, enter, forget, idOf, isAboutKey, malformed, session } from "../session.js";
import { announce } from "../store.js";
import { Component, h } from "../vendor/preact.mjs";
import { Notice, Refusal, Sign, Time } from "./parts.js";

/** Stands in for every page as long as the gateway wants a key. */
export class KeyForm extends Component {
  state = { text: "", busy: false, wrong: null, error: null };
  #field = null;

  componentDidMount() {
    this.#field.focus();
  }

  componentWillUnmount() {
    // The page that takes its place is drawn in the same go.
    queueMicrotask(() => document.querySelector("h1")?.focus({ preventScroll: true }));
  }

  async #enter() {
    const key = cleaned(this.state.text);
    const wrong = malformed(key);
    if (wrong !== null) return this.#refuse({ wrong });
    this.setState({ busy: true, wrong: null, error: null });
    try {
      await api.tryKey(key);
    } catch (error) {
      return this.#refuse({ error });
    }
    enter(key);
    announce("The gateway has admitted the key.");
  }

  #refuse(why) {
    this.setState({ busy: false, wrong: null, error: null, ...why }, () => this.#field.select());
  }

  render(_, { text, busy, wrong, error }) {
    const onSubmit = (event) => {
      event.preventDefault();
      if (!busy) this.#enter();
    };
    const described = wrong ? "key-wrong key-hint" : "key-hint";
    return h("div", { class: "page key-page" },
      h("h1", { tabIndex: -1 }, "This gateway wants an API key"),
      // What went wrong just now matters more than how it came to this.
      error ? h(WhyRefused, { error }) : !wrong && h(WhyLocked),
      h("form", { class: "card form", noValidate: true, autocomplete: "off", onSubmit },
        h("div", { class: wrong ? "field wrong" : "field" },
          h("label", { for: "key" }, "API key"),
          h("input", {
            id: "key", type: "password", autocomplete: "off", autocapitalize: "none", spellcheck: false,
            placeholder: "sg_…", value: text, "aria-describedby": described, "aria-invalid": wrong ? "true" : undefined,
            ref: (element) => (this.#field = element ?? this.#field),
            onInput: (event) => this.setState({ text: event.currentTarget.value, wrong: null }),
          }),
          wrong && h("p", { class: "field-wrong", id: "key-wrong", role: "alert" }, wrong),
          h("p", { class: "hint", id: "key-hint" }, "Kept in this tab only, until it is closed or the key is forgotten.")),
        h("button", { type: "submit", class: "primary", disabled: busy }, busy ? "Asking the gateway…" : "Use this key")),
      !window.isSecureContext && h(Notice, { tone: "warn", title: "The connection is not encrypted" },
        h("p", null, "The key can be read on the way between this browser and the gateway.")),
      h("p", { class: "quiet" }, "A key with the scope ", h("strong", null, "read"), " is enough to look, ",
        h("strong", null, "scale"), " to submit and cancel jobs as well, and ", h("strong", null, "admin"),
        " to manage keys. On the gateway's machine, ", h("code", null, "scalegate keys create"), " makes one."));
  }
}

function WhyLocked() {
  const { problem } = session;
  if (problem.code !== "authentication_required") {
    return h(Notice, { tone: "bad", role: "alert", title: problem.title }, h("p", null, format.sentence(problem.detail)));
  }
  return session.wasForgotten
    ? h(Notice, { tone: "idle", role: "status" }, h("p", null, "The key was forgotten."))
    : null;
}

function WhyRefused({ error }) {
  if (error.status === undefined) {
    return h(Notice, { tone: "warn", role: "alert", title: "No answer" },
      h("p", null, `${error.message} Whether the key is good is not known. `, "It is still in the field."));
  }
  return isAboutKey(error)
    ? h(Notice, { tone: "bad", role: "alert", title: error.title },
        h("p", null, `${format.sentence(error.detail)} Enter another one.`))
    : h(Refusal, { error });
}

/** Who this tab is to the gateway, with what is no secret of its key, and the way to forget that. */
export function Caller() {
  const { key, caller } = session;
  if (key === null && caller === null) return null;
  if (key === null) {
    return h("span", { class: "caller" },
      h("span", { class: "caller-name", title: "This gateway needs no key: every caller may do everything" }, "no key"));
  }
  return h("span", { class: "caller", title: `The key ${idOf(key)}${caller ? `: ${allowance(caller)}` : ""}` },
    h("strong", { class: "caller-name" }, caller?.name || h("code", null, idOf(key))),
    caller && h("span", { class: "caller-scope" }, highest(caller)),
    caller?.expiresAt && h("span", { class: "caller-until" }, "until ", h(Time, { at: caller.expiresAt }, format.day(caller.expiresAt))),
    h("button", { type: "button", class: "small", title: "Forget the key and all that is shown", onClick: forget },
      h(Sign, { name: "key" }), h("span", null, "Forget key")));
}

/** The scope that a key was made with, which includes the others it has. */
const highest = ({ scopes }) => ["admin", "scale", "read"].find((scope) => scopes.includes(scope)) ?? scopes.join(", ");

const allowance = ({ resources, expiresAt }) =>
  `for ${resources?.join(", ") ?? "all resources"}, good until ${expiresAt ? format.day(expiresAt) : "it is revoked"}`;
