/** The audit log: who tried to change something, newest first, a page at a time. */

import * as api from "../api.js";
import * as format from "../format.js";
import { hrefs } from "../routes.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Actor, Badge, JobLink, Unread, Time } from "./parts.js";

export class Attempts extends Component {
  /** `query` is looked for in what was read so far. */
  state = { query: "", entries: null, nextPageToken: null, loading: true, problem: null };
  /** Only the page that was asked for last counts. */
  #asked = 0;

  componentDidMount() {
    this.#load();
  }

  /** There is something new. */
  componentDidUpdate({ changes }) {
    if (changes !== this.props.changes) this.#load();
  }

  async #load(pageToken) {
    const asked = (this.#asked += 1);
    this.setState({ loading: true, problem: null });
    try {
      const page = await api.audit(pageToken);
      if (asked !== this.#asked) return;
      this.setState(({ entries }) => ({
        entries: pageToken ? [...entries, ...page.entries] : page.entries,
        nextPageToken: page.nextPageToken,
        loading: false,
      }));
    } catch (problem) {
      if (asked === this.#asked) this.setState({ loading: false, problem });
    }
  }

  render(_, { query, entries, nextPageToken, loading, problem }) {
    const failed = h(Unread, { error: problem },
      h("p", null, h("button", { type: "button", onClick: () => this.#load() }, "Try again")));
    if (entries === null) return problem ? failed : h("p", { class: "quiet" }, "Loading…");
    if (entries.length === 0) return h("p", { class: "quiet" }, "No caller has tried to change anything yet.");
    const shown = entries.filter((entry) => textOf(entry).includes(query.trim().toLowerCase()));
    return h(Fragment, null,
      h("div", { class: "filters" }, h("label", null, "Search ",
        h("input", { type: "search", value: query, onInput: (event) => this.setState({ query: event.currentTarget.value }) }))),
      shown.length > 0 ? h(AttemptTable, { entries: shown })
        : h("p", { class: "quiet" }, `None of the ${entries.length} entries that were read matches.`),
      failed,
      nextPageToken && h("p", { class: "more" },
        h("button", { type: "button", disabled: loading, onClick: () => this.#load(nextPageToken) },
          loading ? "Loading…" : "Older entries")));
  }
}

/** What of an entry can be searched for. */
const textOf = (entry) =>
  [entry.actor?.name, entry.actor?.key, words.action(entry), words.verdict(entry).text, entry.code, entry.resource, entry.job, entry.group, entry.key, entry.address, entry.at]
    .filter(Boolean).join(" ").toLowerCase();

/** On a narrow screen rows are grids, which are no tables any more unless their roles say so. */
const AttemptTable = ({ entries }) =>
  h("table", { class: "attempts listing", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["When", "Who", "What", "From", "Outcome"].map((name) =>
      h("th", { key: name, role: "columnheader", scope: "col" }, name)))),
    h("tbody", { role: "rowgroup" }, entries.map((entry, index) =>
      h("tr", { key: entries.length - index, role: "row" },
        h("td", { role: "cell", class: "at-when" }, h(Time, { at: entry.at })),
        h("td", { role: "cell", class: "at-who" }, h(Who, { entry })),
        h("td", { role: "cell", class: "at-what" }, words.action(entry), entry.attempts > 1 && ` × ${entry.attempts}`,
          h(About, { entry })),
        h("td", { role: "cell", class: "at-from quiet" }, entry.address ?? (entry.outcome === "omitted" ? "several places" : "command line")),
        h("td", { role: "cell", class: "at-outcome" },
          h(Badge, { look: words.verdict(entry) }), entry.code && h("code", { class: "quiet" }, entry.code))))));

const Who = ({ entry: { actor, address, outcome } }) =>
  actor ? h(Actor, { actor })
    : h("span", { class: "quiet" },
      address === null && outcome !== "omitted" ? "a user of this machine" : "no key");

function About({ entry: { resource, job, group, key } }) {
  return h("span", { class: "about" },
    resource && h(Fragment, null, " ", h("a", { href: hrefs.resource(resource) }, resource)),
    job && h(Fragment, null, " ", h(JobLink, { id: job })),
    group && h(Fragment, null, " ", h("a", { href: hrefs.group(group), title: group }, h("code", null, format.shortId(group)))),
    key && h(Fragment, null, " ", h("code", null, key)));
}
