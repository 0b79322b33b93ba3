/** The claims on a resource: what callers demand of its policy for a time, and the forms to make, renew and end one. */

import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import { announce, store } from "../store.js";
import * as policies from "../policy.js";
import { Component, h } from "../vendor/preact.mjs";
import { AskingDialog, EndFields, ReasonField, TimeField, refused, untilWhen } from "./asking.js";
import { KINDS, claimWishOf, emptyClaim, emptyRenewal, renewalWishOf } from "./demands.js";
import { Choice, Text } from "./fields.js";
import * as format from "../format.js";
import { Actor, Badge, Unread } from "./parts.js";

export class ClaimsCard extends Component {
  /** The dialog that is open, `{what, claim}`: `make`, `renew` or `end`. */
  state = { asks: null };
  #heading = null;

  #leave = () => this.setState({ asks: null });

  #done = (text) => {
    announce(text);
    this.setState({ asks: null }, () => this.#heading.focus());
  };

  render({ alias, policy }, { asks }) {
    const { claims, problem } = store.claims.get(alias) ?? { claims: null, problem: null };
    const acts = policy.mode === "active";
    const { off: more, why } = refused("claims-why", "makes, renews and ends no claims");
    const now = gatewayNow();
    const present = claims?.filter(({ until }) => Date.parse(until) > now);
    return h("section", { class: "card claims", "aria-label": "Claims" },
      h("h2", { tabIndex: -1, ref: (element) => (this.#heading = element ?? this.#heading) }, "Claims"),
      h(Unread, { error: problem }),
      present?.length > 0 && h("ul", { class: "plain-list" }, present.map((claim) =>
        h(Claim, { key: claim.id, claim, now, more, ask: (what) => this.setState({ asks: { what, claim } }) }))),
      present?.length === 0 && h("p", { class: "quiet" },
        acts ? "Nothing is claimed. A claim demands units for a time." : "A claim demands units for a time. It takes a policy that acts."),
      acts && h("div", { class: "actions start" },
        h("button", { type: "button", class: "small", ...more, onClick: () => this.setState({ asks: { what: "make" } }) }, "Claim units")),
      why,
      asks && h(DIALOGS[asks.what], { alias, claim: asks.claim, onLeave: this.#leave, onDone: this.#done }));
  }
}

function Claim({ claim, now, more, ask }) {
  const what = policies.claimed(claim);
  const isAhead = Date.parse(claim.from) > now;
  return h("li", { "data-claim": claim.id },
    h("div", { class: "claim-head" }, h("strong", null, what), h(Badge, { look: policies.claimState(claim, now) })),
    h("p", { class: "num" }, isAhead && `from ${format.time(claim.from)} `, untilWhen(claim.until, now)),
    (claim.owner || claim.reason) && h("p", null, [claim.owner, claim.reason].filter(Boolean).join(": ")),
    claim.by && h("p", { class: "quiet" }, "by ", h(Actor, { actor: claim.by })),
    h("div", { class: "actions start" },
      h("button", { type: "button", class: "small", ...more, "aria-label": `Renew the claim: ${what}`, onClick: () => ask("renew") }, "Renew"),
      h("button", { type: "button", class: "small danger", ...more, "aria-label": `End the claim: ${what}`, onClick: () => ask("end") }, "End")));
}

/** Takes in a claim as it is now, or that there is none with this `id` any more. */
function put(alias, id, claim) {
  const others = (store.claims.get(alias)?.claims ?? []).filter((other) => other.id !== id);
  const claims = claim ? [...others, claim].sort((a, b) => a.id.localeCompare(b.id)) : others;
  store.claims.set(alias, { claims, problem: null });
}

const DIALOGS = {
  make: ({ alias, onLeave, onDone }) =>
    h(AskingDialog, {
      title: `Claim units of ${alias}`, leave: "Cancel", label: "Claim", empty: emptyClaim(), wishOf: claimWishOf,
      pointers: ["/units", "/from", "/forSeconds", "/until", "/owner", "/reason"],
      send: (wish, key) => api.makeClaim(alias, wish, key), onLeave,
      onDone: (claim) => {
        put(alias, claim.id, claim);
        onDone("The units are claimed.");
      },
    }, (fields, wrong, set) => [
      h(Text, {
        key: "units", name: "units", fields, set, label: "Units", wrong: wrong["/units"],
        more: { class: "number", inputMode: "numeric", autoFocus: true },
      }),
      h(Choice, {
        key: "kind", legend: "What is claimed", name: "kind", value: fields.kind, options: KINDS, isList: true,
        onChoose: (value) => set("kind", value),
      }),
      h(Choice, {
        key: "begins", legend: "It begins", name: "begins", value: fields.begins, onChoose: (value) => set("begins", value),
        options: [["now", "at once"], ["later", "at a time"]],
      }),
      fields.begins === "later" && h(TimeField, { key: "from", name: "from", label: "From", fields, wrong: wrong["/from"], set }),
      h(EndFields, { key: "end", fields, wrong, set }),
      h(Text, {
        key: "owner", name: "owner", fields, set, label: "For whom", wrong: wrong["/owner"], hint: "optional, such as nightly import",
        more: { maxLength: 100 },
      }),
      h(ReasonField, { key: "reason", fields, wrong, set }),
    ]),

  renew: ({ alias, claim, onLeave, onDone }) =>
    h(AskingDialog, {
      title: `Renew the claim: ${policies.claimed(claim)}`, leave: "Cancel", label: "Renew", empty: emptyRenewal(), wishOf: renewalWishOf,
      pointers: ["/forSeconds", "/until"], send: (wish) => api.renewClaim(claim, wish), onLeave,
      onDone: (renewed) => {
        put(alias, claim.id, renewed);
        onDone("The claim was renewed.");
      },
    }, (fields, wrong, set) => [
      h("p", { key: "now", class: "quiet" }, `Now it counts ${untilWhen(claim.until, gatewayNow())}. A time is counted from now on.`),
      h(EndFields, { key: "end", fields, wrong, set }),
    ]),

  end: ({ alias, claim, onLeave, onDone }) =>
    h(AskingDialog, {
      title: `End the claim: ${policies.claimed(claim)}?`, leave: "Keep the claim", label: "End the claim", isDanger: true,
      send: () => api.endClaim(claim), onLeave,
      onDone: () => {
        put(alias, claim.id, null);
        onDone("The claim was ended.");
      },
    }, h("p", null, "The policy decides without it from then on. It cannot be taken back, but another one can be made.")),
};
