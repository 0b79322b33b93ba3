/** What the form for a new key asks, and the request that comes of it. */

const DAY_SECONDS = 86_400;

/** How long a key can be good: name, words, and seconds. */
export const LIVES = [
  ["unlimited", "until it is revoked", null],
  ["day", "for a day", DAY_SECONDS],
  ["week", "for a week", 7 * DAY_SECONDS],
  ["month", "for 30 days", 30 * DAY_SECONDS],
  ["quarter", "for 90 days", 90 * DAY_SECONDS],
  ["year", "for a year", 365 * DAY_SECONDS],
];

/** The fields of a form as it is before it is filled in. The first key of a gateway should be one that can make others. */
export const emptyKey = (isFirst) => ({ name: "", scope: isFirst ? "admin" : "read", resources: "", life: "unlimited" });

/** The request that the fields describe, and which field what is wrong with it belongs to. */
export function keyWishOf({ name, scope, resources, life }) {
  const wish = { name: name.trim(), scope };
  const aliases = resources.split(/[\s,;]+/).filter((alias) => alias !== "");
  if (aliases.length > 0 && scope !== "admin") wish.resources = aliases;
  const seconds = LIVES.find(([key]) => key === life)?.[2] ?? null;
  if (seconds !== null) wish.expiresInSeconds = seconds;
  return { wish, pointers: (pointer) => (pointer.startsWith("/resources") ? "/resources" : pointer) };
}
