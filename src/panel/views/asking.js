/** Dialogs that have the gateway do something: forms, and questions before what cannot be undone. */

import { newIdempotencyKey } from "../api.js";
import * as format from "../format.js";
import { relistSoon } from "../loading.js";
import { Unanswered } from "../request.js";
import { hrefs } from "../routes.js";
import { session } from "../session.js";
import { announce, store } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { timeZone } from "../zone.js";
import { Choice, Text } from "./fields.js";
import { Dialog, Refusal } from "./parts.js";

/**
 * A dialog with one request. `wishOf` makes of the fields what `send` takes, and says what is wrong with them; `onDone` gets
 * the answer. A refusal keeps it open, and stands beside the field that it is about. `send` also gets an idempotency key,
 * which is the same as long as the fields are.
 */
export class AskingDialog extends Component {
  state = { fields: this.props.empty ?? {}, busy: false, error: null, wrong: {} };
  #form = null;
  #key = newIdempotencyKey();
  #isHere = true;

  componentWillUnmount() {
    this.#isHere = false;
  }

  async #send() {
    const { wishOf, send, onDone } = this.props;
    const { wish, wrong } = wishOf?.(this.state.fields) ?? { wish: null, wrong: {} };
    if (Object.keys(wrong).length > 0) return this.#refuse(wrong, null);
    this.setState({ busy: true, error: null, wrong: {} });
    try {
      const answer = await send(wish, this.#key);
      onDone(answer);
      // No event tells of it where there is no policy.
      relistSoon();
    } catch (error) {
      if (!this.#isHere) return this.#refuseLate(error);
      this.#refuse(Object.fromEntries((error.errors ?? []).map(({ pointer, detail }) => [pointer, detail])), error);
    }
  }

  #refuse(wrong, error) {
    this.setState({ busy: false, wrong, error }, () => this.#form.querySelector('[aria-invalid="true"]')?.focus());
  }

  /** A user who has left the dialog believes that it is done. */
  #refuseLate(error) {
    const title = error.status === undefined ? "No answer" : error.title;
    store.lateRefusal = { title: `${this.props.title}: ${title}`, detail: error.detail ?? error.message };
    announce(`${this.props.title}: ${title}.`);
  }

  render({ title, leave, label, isDanger = false, onLeave, children }, { fields, busy, error, wrong }) {
    const set = (name, value) => {
      this.#key = newIdempotencyKey();
      this.setState((state) => ({ fields: { ...state.fields, [name]: value }, wrong: {}, error: null }));
    };
    const onSubmit = (event) => {
      event.preventDefault();
      if (!busy && !session.lacks.has("scale")) this.#send();
    };
    const isQuestion = this.props.wishOf === undefined;
    return h(Dialog, { title, onClose: onLeave },
      h("form", {
        class: "form asking", noValidate: true, autocomplete: "off", onSubmit,
        ref: (element) => (this.#form = element ?? this.#form),
      },
        isQuestion ? children : children(fields, wrong, set),
        h(Refusal, { error, fields: this.props.pointers },
          error instanceof Unanswered && !isQuestion && h("p", null, "Sending it again is safe: it is done once.")),
        h("div", { class: "actions" },
          h("button", { type: "button", autoFocus: isQuestion, onClick: onLeave }, leave),
          h("button", {
            type: "submit", class: isDanger ? "danger strong" : "primary",
            disabled: busy || session.lacks.has("scale"),
          }, busy ? "Asking…" : label))));
  }
}

/** When something ends. */
export function EndFields({ fields, wrong, set }) {
  return h(Fragment, null,
    h(Choice, {
      legend: "It ends", name: "ends", value: fields.ends, onChoose: (value) => set("ends", value),
      options: [["for", "after a time"], ["until", "at a time"]],
    }),
    fields.ends === "for"
      ? h(Text, {
          name: "lasting", fields, set, label: "How long", wrong: wrong["/forSeconds"],
          hint: "such as 4h, 1h 30m or 2d; at most 30 days", more: { autocapitalize: "none", spellcheck: false },
        })
      : h(TimeField, { name: "until", label: "Until", fields, wrong: wrong["/until"], set }));
}

export const TimeField = ({ name, label, fields, wrong, set }) =>
  h(Text, { name, fields, set, label, wrong, hint: `in ${timeZone()}`, more: { type: "datetime-local" } });

export const ReasonField = ({ fields, wrong, set }) =>
  h(Text, {
    name: "reason", fields, set, label: "Reason", wrong: wrong["/reason"], hint: "optional; a note for people",
    more: { maxLength: 500 },
  });

/** Until when, and how far that is: `until 16:00:00, in 2 h`. */
export const untilWhen = (at, now) => ["until ", format.time(at), format.ahead(Date.parse(at) - now)].join("");

/** To the form to scale, which a key that submits no jobs can still plan with. */
export function ScaleLink({ alias, isSmall = false }) {
  const isRefused = session.lacks.has("scale");
  const what = isRefused ? "Plan" : "Scale";
  return h("a", {
    class: isSmall ? "button small" : isRefused ? "button" : "button primary", href: hrefs.scale(alias),
    "aria-label": isSmall ? `${what} ${alias}` : undefined,
    title: isRefused ? "The key of this tab submits no jobs, but may see plans" : undefined,
  }, what);
}

/** What a key does not allow: buttons with `off` are off and say why, as does `why`, which stands beside them. */
export function refused(id, what) {
  if (!session.lacks.has("scale")) return { off: {}, why: null };
  const text = `The key of this tab ${what}: that takes one with the scope scale.`;
  return { off: { disabled: true, title: text, "aria-describedby": id }, why: h("p", { class: "quiet", id }, text) };
}
