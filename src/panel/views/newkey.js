/** The form for a new API key. */

import * as api from "../api.js";
import { store } from "../store.js";
import { Component, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Choice, Field, Text } from "./fields.js";
import { Notice, Refusal } from "./parts.js";
import { LIVES, emptyKey, keyWishOf } from "./keywish.js";

export class NewKeyForm extends Component {
  state = { fields: emptyKey(this.props.isFirst), busy: false, error: null, wrong: {} };
  #form = null;

  componentDidMount() {
    this.#form.querySelector("input").focus();
  }

  async #make() {
    this.setState({ busy: true, error: null, wrong: {} });
    const { wish, pointers } = keyWishOf(this.state.fields);
    try {
      this.props.onMade(await api.createKey(wish));
    } catch (error) {
      const wrong = Object.fromEntries((error.errors ?? []).map(({ pointer, detail }) => [pointers(pointer), detail]));
      this.setState({ busy: false, error, wrong }, () => this.#form.querySelector('[aria-invalid="true"]')?.focus());
    }
  }

  render({ isFirst, onLeave }, { fields, busy, error, wrong }) {
    const set = (name, value) => this.setState(({ fields }) => ({ fields: { ...fields, [name]: value }, wrong: {}, error: null }));
    const onSubmit = (event) => {
      event.preventDefault();
      if (!busy) this.#make();
    };
    const ref = (element) => (this.#form = element ?? this.#form);
    const isAdmin = fields.scope === "admin";
    const known = Object.keys(wrong).length === (error?.errors ?? []).length && error?.errors?.length > 0;
    return h("form", { class: "card form new-key", noValidate: true, autocomplete: "off", "aria-label": "New key", ref, onSubmit },
      h("h2", null, "New key"),
      isFirst && h(Notice, { tone: "warn", title: "The first key closes the gateway" },
        h("p", null, "From then on every caller needs one, services that scale included. This tab goes on with the new key; ",
          "only with one for admins it can make more.")),
      h("div", { class: "field-row" },
        h(Text, {
          name: "name", label: "Name", hint: "what it is for", fields, set, wrong: wrong["/name"], more: { maxLength: 100 },
        }),
        h(Field, { id: "life", label: "Valid", wrong: wrong["/expiresInSeconds"] }, (props) =>
          h("select", { ...props, value: fields.life, onChange: (event) => set("life", event.currentTarget.value) },
            LIVES.map(([name, text]) => h("option", { key: name, value: name }, text))))),
      h(Choice, {
        legend: "Scope", name: "scope", value: fields.scope, isList: true, options: words.SCOPES.map(([name, what]) => [name, name, what]),
        onChoose: (value) => set("scope", value),
      }),
      isAdmin
        ? h("p", { class: "hint" }, "A key for admins is for all resources.")
        : h(Text, {
            name: "resources", label: "Only these resources", fields, set, wrong: wrong["/resources"],
            hint: "aliases with spaces between them; all resources if empty",
            more: { list: "known-aliases", autocapitalize: "none", spellcheck: false },
          }),
      h("datalist", { id: "known-aliases" },
        [...(store.resources?.keys() ?? [])].map((alias) => h("option", { key: alias, value: alias }))),
      !known && h(Refusal, { error }),
      h("div", { class: "actions start" },
        h("button", { type: "submit", class: "primary", disabled: busy }, busy ? "Creating…" : "Create the key"),
        h("button", { type: "button", onClick: onLeave }, "Cancel")));
  }
}
