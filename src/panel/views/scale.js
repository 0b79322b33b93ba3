/**
 * The form to scale. It shows the plan before anything is submitted, and sends a submission whose answer was lost again
 * with the same idempotency key, so that it cannot scale twice.
 */

import * as api from "../api.js";
import { hrefs } from "../routes.js";
import { announce, putJob, store } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { AdvancedFields, GoalFields, SettingFields } from "./fields.js";
import { Refusal } from "./parts.js";
import { PlanView } from "./plan.js";
import { empty, wishOf } from "./wish.js";

/** How often a submission without an answer is sent again before the user is asked, and the wait before each. */
const RESEND_AFTER_MILLIS = [500, 1_500, 3_000];

export class ScalePage extends Component {
  state = {
    fields: empty(this.props.alias),
    /** The plan and the wish it is for; gone as soon as the form says something else. */
    plan: null,
    wish: null,
    /** Of the submission of that wish. */
    key: null,
    busy: null,
    error: null,
    wrong: {},
  };
  #planHeading = null;
  #isHere = true;

  componentWillUnmount() {
    this.#isHere = false;
  }

  #set(name, value, then) {
    const forgotten = { plan: null, wish: null, key: null, error: null, wrong: {} };
    this.setState(({ fields }) => ({ fields: { ...fields, [name]: value }, ...forgotten }), then);
  }

  async #plan() {
    const { fields } = this.state;
    const { wish, wrong } = wishOf(fields);
    if (Object.keys(wrong).length > 0) return this.#refuse(wrong, null);
    this.setState({ busy: "planning", error: null, wrong: {}, plan: null });
    try {
      const plan = await api.plan(wish);
      if (!this.#isHere) return;
      // A plan for what the form said before would be submitted as what it says now.
      if (this.state.fields !== fields) return this.setState({ busy: null });
      this.setState({ busy: null, plan, wish, key: api.newKey() }, () => this.#planHeading?.focus());
    } catch (error) {
      this.#refuse({}, error);
    }
  }

  async #submit() {
    const { wish, key } = this.state;
    this.setState({ busy: "submitting", error: null });
    try {
      const { job, joined } = await this.#sendUntilAnswered(wish, key);
      putJob(job);
      const text = joined
        ? "An unfinished job does the same already; this is it."
        : "The job is accepted: it is on disk and will be carried out.";
      store.flash = { id: job.id, text };
      announce(text);
      if (this.#isHere) location.hash = hrefs.job(job.id);
    } catch (error) {
      this.#refuse({}, error);
    }
  }

  async #sendUntilAnswered(wish, key) {
    for (const wait of RESEND_AFTER_MILLIS) {
      try {
        return await api.submit(wish, key);
      } catch (error) {
        if (!(error instanceof api.Unanswered)) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    return api.submit(wish, key);
  }

  #refuse(wrong, error) {
    if (!this.#isHere) return;
    const pointed = Object.fromEntries((error?.errors ?? []).map(({ pointer, detail }) => [pointer, detail]));
    this.setState({ busy: null, error, wrong: { ...wrong, ...pointed } }, () => {
      (document.querySelector('.form [aria-invalid="true"]') ?? this.#planHeading)?.focus();
    });
  }

  render(_, { fields, plan, busy, error, wrong }) {
    const onSubmit = (event) => {
      event.preventDefault();
      if (busy === null) plan ? this.#submit() : this.#plan();
    };
    const set = (name, value) => this.#set(name, value);
    return h("div", { class: "page" },
      h("h1", { tabIndex: -1 }, "Scale a resource"),
      h("form", { class: "form", noValidate: true, autocomplete: "off", onSubmit },
        h("div", { class: "columns" },
          h("div", { class: "wide card" },
            h(GoalFields, { fields, wrong, set }),
            h(SettingFields, { fields, wrong, set }),
            h(AdvancedFields, { fields, wrong, set })),
          h("div", { class: "narrow card plan", "aria-busy": String(busy === "planning") },
            this.#side(plan, busy, error, wrong)))));
  }

  #side(plan, busy, error, wrong) {
    const retry = error instanceof api.Unanswered && plan;
    return h(Fragment, null,
      h("h2", { tabIndex: -1, ref: (element) => (this.#planHeading = element) }, "Plan"),
      plan && h(PlanView, { plan }),
      !plan && !error && h("p", { class: "quiet" },
        "Shows the steps and when they could be taken, before anything is submitted."),
      h(Refusal, { error, fields: Object.keys(wrong) },
        error?.code === "resource_busy" && h("div", { class: "actions start" },
          h("button", { type: "button", onClick: () => this.#instead("queue") }, "Queue instead"),
          h("button", { type: "button", onClick: () => this.#instead("supersede") }, "Take its place instead")),
        retry && h("p", null, "Submitting again is safe: the gateway takes it for the same job.")),
      h("div", { class: "actions start" },
        h("button", { type: "submit", class: "primary strong", disabled: busy !== null }, label(plan, busy, error))),
      plan && h("p", { class: "quiet" }, "Another change to the form asks for a new plan."));
  }

  #instead(onConflict) {
    this.#set("onConflict", onConflict, () => this.#plan());
  }
}

/** What the one button does next. */
function label(plan, busy, error) {
  if (!plan) return busy === "planning" ? "Planning…" : "Show plan";
  if (busy === "submitting") return "Submitting…";
  if (error) return "Submit again";
  return plan.joins ? "Join that job" : "Submit job";
}
