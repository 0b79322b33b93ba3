/** Which of all resources the overview shows: cards for a few, else a page of a table that is searched and sorted. */

import { groupOf, sorted } from "./need.js";
import { knownUntil } from "./outage.js";
import { changed, store } from "./store.js";

/** Most resources that are shown as cards. More of them are a table. */
export const MAX_CARDS = 12;
/** Rows of a page of the table. */
export const PAGE_ROWS = 50;

/** What the reader chose of the table. It stays when another page is looked at. */
export const choice = { query: "", sort: "need", page: 0 };

export function choose(chosen) {
  Object.assign(choice, { page: 0 }, chosen);
  changed();
}

/** The job a resource works on, if it is known here. */
export const activeJobOf = (resource) => store.jobs.get(resource.activeJob) ?? null;

/** All resources on the list, each with its group. */
export function grouped() {
  const now = knownUntil();
  return [...store.resources.values()].map((resource) => ({ resource, group: groupOf(resource, activeJobOf(resource), now) }));
}

/** Of `all` resources those in the group `need`, if it is given, that match the search; and the page of them that is shown. */
export function selection(all, need) {
  const isTable = all.length > MAX_CARDS;
  const ofGroup = need ? all.filter(({ group }) => group === need) : all;
  if (!isTable) return { isTable, found: ofGroup, shown: sorted(ofGroup), page: 0, pages: 1 };
  const query = choice.query.trim().toLowerCase();
  const found = query ? ofGroup.filter(({ resource }) => resource.resource.toLowerCase().includes(query)) : ofGroup;
  const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
  const page = Math.min(choice.page, pages - 1);
  return { isTable, found, shown: sorted(found, choice.sort).slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS), page, pages };
}
