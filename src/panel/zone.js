/**
 * The zone that times are written in, and that fields for times are read in: the browser's, or UTC, by which logs go. The
 * choice is kept in the browser's local storage.
 */

/** The name in the local storage. */
const STORED_AS = "scalegate-times";
export const UTC = "UTC";
export const LOCAL_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

let zone = stored();
let writers = writersIn(zone);

function stored() {
  try {
    return localStorage.getItem(STORED_AS) === UTC ? UTC : LOCAL_ZONE;
  } catch {
    // A browser that keeps nothing begins with local times.
    return LOCAL_ZONE;
  }
}

function writersIn(timeZone) {
  const writer = (options) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  return {
    clock: writer({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    shortClock: writer({ hour: "2-digit", minute: "2-digit" }),
    dayOfYear: writer({ day: "numeric", month: "short" }),
    date: writer({ day: "numeric", month: "short", year: "numeric" }),
    offset: writer({ timeZoneName: "shortOffset" }),
  };
}

export const timeZone = () => zone;

/** What writes a moment as `12:03:07`, `12:03`, `31 Jan` or `31 Jan 2027`. */
export const written = () => writers;

/** How far the clocks of the zone are from UTC at a moment: `UTC+2`. */
export function offset(at) {
  const { value } = writers.offset.formatToParts(at).find(({ type }) => type === "timeZoneName");
  return value.replace("GMT", "UTC");
}

/** Goes on in the browser's zone or in UTC, and remembers which. */
export function useZone(chosen) {
  zone = chosen;
  writers = writersIn(chosen);
  try {
    if (chosen === UTC) localStorage.setItem(STORED_AS, UTC);
    else localStorage.removeItem(STORED_AS);
  } catch {
    // It is as chosen until the page is loaded again.
  }
}

/** The moment that a field for a day and a time tells, in milliseconds; NaN if it tells none. */
export const momentOf = (text) => new Date(zone === UTC && text !== "" ? `${text}Z` : text).getTime();
