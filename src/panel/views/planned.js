/**
 * A form with a plan: it shows what would be done before anything is submitted, and sends a submission whose answer was lost
 * again with the same idempotency key, so that it cannot scale twice. What is asked and planned, its `kind` says.
 */

import { newIdempotencyKey } from "../api.js";
import { Unanswered } from "../request.js";
import { session } from "../session.js";
import { announce, resourceOf, store } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { Notice, Refusal } from "./parts.js";

/** How often a submission without an answer is sent again before the user is asked, and the wait before each. */
const RESEND_AFTER_MILLIS = [500, 1_500, 3_000];

/** A plan that was made longer ago has times that are over, and may be for a capacity that is no longer. */
const PLAN_LASTS_MILLIS = 60_000;

/** How long the form has to be left as it is before a plan is made for it. */
const PLAN_AFTER_MILLIS = 400;

/** What a plan for resources is made from, as far as the panel hears of it. */
const situation = (aliases) => ({
  at: Date.now(),
  of: new Map(aliases.map((alias) => [alias, { changeCount: store.changeCounts.get(alias), reading: store.readings.get(alias) }])),
});

/** Why plans, one for each resource, that were made in the situation `then` should not be submitted any more, if so. */
function outdated(plans, then) {
  const now = situation([...then.of.keys()]);
  const isOnly = then.of.size === 1;
  for (const [alias, before] of then.of) {
    const { changeCount, reading } = now.of.get(alias);
    if (changeCount !== before.changeCount) return `${isOnly ? "The resource" : alias} has changed since.`;
    // Jobs are expected to change the capacity, and are part of the plan.
    const plan = plans.find(({ resource, joins }) => resource === alias && !joins);
    const isOther = reading !== before.reading && reading?.capacity !== plan?.startCapacity;
    const isIdle = plan && !resourceOf(alias)?.activeJob;
    if (isIdle && isOther && reading?.capacity !== null) return `The capacity${isOnly ? "" : ` of ${alias}`} has changed since.`;
  }
  return now.at - then.at > PLAN_LASTS_MILLIS ? "It was made more than a minute ago." : null;
}

/**
 * `begin` gives the fields; `learn`, if any, ends when it would give others. `kind` has `title`, `isComplete` (whether the fields
 * are enough to plan along), `wishOf`, `aliases` of a wish, `plan`, `submit`, `plans` (one for each resource), `put` (takes in
 * what was accepted and tells its address), `noun` and `subject` in words, `Fields`, `View` of a plan, and `Refused`.
 */
export class PlannedForm extends Component {
  state = {
    fields: this.props.begin(),
    /** The plan and the wish it is for; gone as soon as the form says something else. */
    plan: null,
    wish: null,
    situation: null,
    /** Of the submission of that wish. */
    key: null,
    busy: null,
    error: null,
    wrong: {},
  };
  #planHeading = null;
  #isHere = true;
  /** The plan that is about to be made, and whether the user waits for one. */
  #planSoon = null;
  #isAwaited = false;
  /** What the latest plan was asked for. */
  #planned = null;

  componentDidMount() {
    // What is typed meanwhile is not overwritten.
    const { fields } = this.state;
    const fill = () => {
      if (this.#isHere && this.state.fields === fields) this.setState({ fields: this.props.begin() });
    };
    // Without an answer the form is as any other.
    this.props.learn?.()?.then(fill, () => {});
  }

  componentWillUnmount() {
    this.#isHere = false;
    clearTimeout(this.#planSoon);
  }

  #set(name, value, then) {
    const forgotten = { plan: null, wish: null, situation: null, key: null, error: null, wrong: {} };
    this.#isAwaited = false;
    clearTimeout(this.#planSoon);
    this.#planSoon = setTimeout(() => this.#planAlong(), PLAN_AFTER_MILLIS);
    this.setState(({ fields }) => ({ fields: { ...fields, [name]: value }, ...forgotten }), then);
  }

  /** The plan for what was typed so far. A half of a name is no resource, and what is wrong is told when the user is done. */
  #planAlong() {
    const { fields, busy } = this.state;
    const { isComplete, wishOf } = this.props.kind;
    if (busy === "submitting" || !isComplete(fields)) return;
    if (Object.keys(wishOf(fields).wrong).length === 0) this.#plan();
  }

  /** The user is done: the focus goes to the plan, to what is wrong, or there as soon as it is known. */
  #finish() {
    const { plan, error, busy } = this.state;
    this.#isAwaited = true;
    if (busy !== null) return;
    if ((plan && !this.#staleness()) || error) this.#focus();
    else this.#plan();
  }

  #focus() {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    (document.querySelector('.form [aria-invalid="true"]') ?? this.#planHeading)?.focus();
  }

  async #plan() {
    clearTimeout(this.#planSoon);
    const { fields } = this.state;
    const { kind } = this.props;
    const { wish, wrong } = kind.wishOf(fields);
    if (Object.keys(wrong).length > 0) return this.#refuse(wrong, null);
    this.#planned = fields;
    this.setState({ busy: "planning", error: null, wrong: {}, plan: null });
    const before = situation(kind.aliases(wish));
    try {
      const plan = await kind.plan(wish);
      if (!this.#isHere) return;
      // A plan for what the form said before would be submitted as what it says now.
      if (this.state.fields !== fields) return this.#isLate();
      const key = newIdempotencyKey();
      this.setState({ busy: null, plan, wish, situation: before, key }, () => this.#focus());
    } catch (error) {
      if (this.#isHere && this.state.fields !== fields) return this.#isLate();
      this.#refuse({}, error);
    }
  }

  /** The form says something else by now, of which a plan may be under way. */
  #isLate() {
    if (this.state.busy === "planning" && this.#planned !== this.state.fields) {
      this.setState({ busy: null }, () => this.#isAwaited && this.#plan());
    }
  }

  async #submit() {
    const { wish, key } = this.state;
    this.#isAwaited = true;
    this.setState({ busy: "submitting", error: null });
    try {
      const { kind } = this.props;
      const { accepted, joined } = await this.#sendUntilAnswered(wish, key);
      const address = kind.put(accepted);
      const text = joined
        ? `An unfinished ${kind.noun} does the same already; this is it.`
        : `The ${kind.noun} is accepted: it is on disk and will be carried out.`;
      store.flash = { id: accepted.id, text };
      announce(text);
      if (!this.#isHere) return;
      // A user who is back before the page of it was drawn finds the form ready for another plan.
      this.setState({ busy: null, plan: null, wish: null, situation: null, key: null });
      location.hash = address;
    } catch (error) {
      this.#refuse({}, error);
    }
  }

  async #sendUntilAnswered(wish, key) {
    const { submit } = this.props.kind;
    const { identity } = session;
    for (const wait of RESEND_AFTER_MILLIS) {
      try {
        return await submit(wish, key);
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
        // It must not be sent with another API key.
        if (session.identity !== identity) return new Promise(() => {});
      }
    }
    return submit(wish, key);
  }

  #refuse(wrong, error) {
    if (!this.#isHere) return error && this.#refuseLate(error);
    const pointed = Object.fromEntries((error?.errors ?? []).map(({ pointer, detail }) => [pointer, detail]));
    this.setState({ busy: null, error, wrong: { ...wrong, ...pointed } }, () => this.#focus());
  }

  /** A user who has left the page believes that it is submitted. */
  #refuseLate(error) {
    if (this.state.busy !== "submitting") return;
    const subject = this.props.kind.subject(this.state.wish);
    const title = error.status === undefined ? "No answer" : error.title;
    store.lateRefusal = { title: `${subject}: ${title}`, detail: error.detail ?? error.message };
    announce(`${subject} was not accepted. ${title}.`);
  }

  /** A submission without an answer is sent again unchanged: what has changed since may be its own effect. */
  #staleness() {
    const { plan, busy, error, situation: then } = this.state;
    return plan && busy === null && !(error instanceof Unanswered) ? outdated(this.props.kind.plans(plan), then) : null;
  }

  render({ kind }, { fields, plan, busy, error, wrong }) {
    const staleness = this.#staleness();
    const onSubmit = (event) => {
      event.preventDefault();
      if (busy !== null) return;
      if (!plan || this.#staleness()) {
        this.#isAwaited = true;
        this.#plan();
      } else if (!session.lacks.has("scale")) this.#submit();
    };
    // A plan that came a moment ago is not submitted unseen.
    const onKeyDown = (event) => {
      if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
      event.preventDefault();
      this.#finish();
    };
    const set = (name, value) => this.#set(name, value);
    return h("div", { class: "page" },
      h("h1", { tabIndex: -1 }, kind.title),
      kind.more,
      h("form", { class: "form", noValidate: true, autocomplete: "off", onSubmit, onKeyDown },
        h("div", { class: "columns" },
          h("div", { class: "wide card" },
            h(kind.Fields, { fields, wrong, set })),
          h("div", { class: "narrow card plan", "aria-busy": String(busy === "planning") },
            this.#side(plan, busy, error, wrong, staleness)))));
  }

  #side(plan, busy, error, wrong, staleness) {
    const { kind } = this.props;
    const { fields } = this.state;
    const retry = error instanceof Unanswered && plan;
    const isRefused = session.lacks.has("scale");
    return h(Fragment, null,
      h("h2", { tabIndex: -1, ref: (element) => (this.#planHeading = element) }, "Plan"),
      staleness && h(Notice, { tone: "warn", role: "status", title: "This plan is out of date" }, h("p", null, staleness)),
      plan && h(kind.View, { plan }),
      kind.Besides && h(kind.Besides, { plan, fields }),
      !plan && !error && h("p", { class: "quiet" },
        busy === "planning" ? "Planning…" : "Shows the steps and when they could be taken, before anything is submitted."),
      h(Refusal, { error, fields: Object.keys(wrong) },
        error?.code === "resource_busy" && h("div", { class: "actions start" },
          h("button", { type: "button", onClick: () => this.#instead("queue") }, "Queue instead"),
          h("button", { type: "button", onClick: () => this.#instead("supersede") }, "Take its place instead")),
        kind.Refused && h(kind.Refused, { error, fields }),
        retry && h("p", null, `Submitting again is safe: the gateway takes it for the same ${kind.noun}.`)),
      isRefused && error?.code !== "insufficient_scope" &&
        h(Notice, { tone: "idle", title: `The key of this tab submits no ${kind.noun}s` },
          h("p", null, `It is enough for plans. To submit a ${kind.noun} takes one with the scope scale.`)),
      h("div", { class: "actions start" },
        h("button", {
          type: "submit", class: "primary strong",
          disabled: busy !== null || (isRefused && plan !== null && !staleness),
        }, staleness ? "Show a new plan" : label(kind, plan, busy, error, isRefused))),
      plan && h("p", { class: "quiet" }, "The plan follows what the form says."));
  }

  #instead(onConflict) {
    this.#set("onConflict", onConflict, () => {
      this.#isAwaited = true;
      this.#plan();
    });
  }
}

/** What the one button does next. */
function label({ noun }, plan, busy, error, isRefused) {
  if (!plan) return busy === "planning" ? "Planning…" : "Show plan";
  if (busy === "submitting") return "Submitting…";
  if (error && !isRefused) return "Submit again";
  return plan.joins ? `Join that ${noun}` : `Submit ${noun}`;
}
