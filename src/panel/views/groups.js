/** The list of groups, newest first, with filters that are part of the address. It is read again after news of their jobs. */

import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { GROUP_STATES, UNFINISHED_GROUPS, hrefs } from "../routes.js";
import { isGroupOver, putGroup, store } from "../store.js";
import { Component, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Filters } from "./filters.js";
import { Badge, ProgressBar, Time, Unread } from "./parts.js";

/** News come in bursts; the list is read once after each. */
const READ_AFTER_MILLIS = 400;

export class GroupsPage extends Component {
  /** Ids of the groups of the pages that were read, newest first; `null` before. */
  state = { ids: null, nextPageToken: null, loading: true, problem: null };
  #news = store.groupNews;
  #soon = null;
  /** Only what was asked for last counts. */
  #asked = 0;

  componentDidMount() {
    this.#load();
  }

  componentDidUpdate() {
    if (this.#news === store.groupNews) return;
    this.#news = store.groupNews;
    this.#soon ??= setTimeout(() => this.#load(), READ_AFTER_MILLIS);
  }

  componentWillUnmount() {
    this.#asked += 1;
    clearTimeout(this.#soon);
  }

  async #load(pageToken) {
    clearTimeout(this.#soon);
    this.#soon = null;
    const asked = (this.#asked += 1);
    const { resource, states } = this.props;
    this.setState({ loading: true, problem: null });
    try {
      const page = await api.groups({ resource, states, pageToken });
      if (asked !== this.#asked) return;
      page.groups.forEach(putGroup);
      const read = page.groups.map(({ id }) => id);
      this.setState(({ ids }) => ({
        ids: pageToken ? [...ids, ...read.filter((id) => !ids.includes(id))] : read,
        nextPageToken: page.nextPageToken, loading: false,
      }));
    } catch (problem) {
      if (asked === this.#asked) this.setState({ loading: false, problem });
    }
  }

  render({ resource, states }, { ids, nextPageToken, loading, problem }) {
    const groups = (ids ?? []).map((id) => store.groups.get(id)).filter(Boolean);
    return h("div", { class: "page" },
      h("div", { class: "heading" }, h("h1", { tabIndex: -1 }, "Groups"), h("span", { class: "grow" }),
        h("a", { class: "button", href: hrefs.scaleSeveral }, "Scale several")),
      h("p", { class: "quiet" }, "A group scales several resources as one piece of work, in stages."),
      h(Filters, {
        resource, states, all: GROUP_STATES, unfinished: UNFINISHED_GROUPS, name: words.groupStateName, href: hrefs.groups,
        aliases: store.resources?.keys() ?? [],
      }),
      h(Unread, { error: problem }, h("p", null, h("button", { type: "button", onClick: () => this.#load() }, "Try again"))),
      groups.length > 0 && h(GroupTable, { groups }),
      groups.length === 0 && ids !== null && h(None, { isFiltered: resource !== "" || states.length > 0 }),
      ids === null && loading && h("p", { class: "quiet" }, "Loading…"),
      nextPageToken && h("p", { class: "more" },
        h("button", { type: "button", disabled: loading, onClick: () => this.#load(nextPageToken) },
          loading ? "Loading…" : "Older groups")));
  }
}

const None = ({ isFiltered }) =>
  isFiltered
    ? h("p", { class: "quiet" }, "No group matches. ", h("a", { href: hrefs.groups() }, "Show all groups"))
    : h("p", { class: "quiet" }, "No groups yet. ", h("a", { href: hrefs.scaleSeveral }, "Scale several resources"), ".");

const COLUMNS = [["State", "state"], ["Resources", "goal"], ["Progress", "progress"], ["What for", "note"], ["By", "who"], ["Submitted", "time"]];

/** On a narrow screen rows are grids, which are no tables any more unless their roles say so. */
const GroupTable = ({ groups }) =>
  h("table", { class: "jobs groups", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, COLUMNS.map(([name, at]) =>
      h("th", { key: name, role: "columnheader", scope: "col", class: `at-${at}` }, name)))),
    h("tbody", { role: "rowgroup" }, groups.map((group) => h(GroupRow, { key: group.id, group }))));

const GroupRow = ({ group }) =>
  h("tr", { role: "row", "data-group": group.id, "data-state": group.state },
    h("td", { role: "cell", class: "at-state" }, h(Badge, { look: words.groupState(group) })),
    h("td", { role: "cell", class: "at-goal" }, h("a", { href: hrefs.group(group.id), title: group.id }, namesOf(group))),
    h("td", { role: "cell", class: "at-progress" }, h(HowFar, { group })),
    h("td", { role: "cell", class: "at-note" }, h("span", { title: group.error?.message ?? group.reason ?? undefined },
      group.error && format.sentence(group.error.message), group.error && group.reason && " ",
      group.reason && h("span", { class: "quiet" }, group.reason))),
    h("td", { role: "cell", class: "at-who quiet" }, words.caller(group)),
    h("td", { role: "cell", class: "at-time num quiet" },
      h(Time, { at: group.createdAt }, format.ago(gatewayNow() - Date.parse(group.createdAt)))));

function HowFar({ group }) {
  const { completedSteps, percent } = group.progress;
  if (isGroupOver(group)) return h("span", { class: "num quiet" }, words.steps(completedSteps));
  const label = `Progress of the group of ${namesOf(group)}`;
  return h("span", { class: "progress-cell" },
    h(ProgressBar, { percent, tone: words.groupState(group).tone, label }), h("span", { class: "num quiet" }, `${percent} %`));
}

/** Most members that are named; the rest are counted. */
const MAX_NAMES = 4;

/** The resources of a group: `api, db and 3 more`. */
export function namesOf({ members }) {
  const names = members.slice(0, MAX_NAMES).map(({ resource }) => resource).join(", ");
  return members.length > MAX_NAMES ? `${names} and ${members.length - MAX_NAMES} more` : names;
}
