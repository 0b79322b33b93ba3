/** The gateway's clock, compared with the browser's by each answer: countdowns are about the former. */

/** An answer that took longer does not tell at which moment of that time the gateway wrote its `Date`. */
const PROMPT_MILLIS = 1_000;
/** A clock that differs by less is taken for right: the gateway's `Date` has whole seconds. */
const CLOCK_TOLERANCE_MILLIS = 2_000;

let clockOffsetMillis = 0;
/** The clock of a demonstration, which is faster than others: what it showed when, and how many times as fast it goes. */
let fastClock = null;

/** The gateway's time, in milliseconds. */
export const gatewayNow = () =>
  fastClock ? fastClock.shown + (Date.now() - fastClock.readAt) * fastClock.speed : Date.now() + clockOffsetMillis;

/** How many times as fast as the browser's clock that time goes. */
export const clockSpeed = () => fastClock?.speed ?? 1;

/** Takes in what the answer to a request that was sent at `sentAt` tells of the clock. */
export function compareClocks(response, sentAt) {
  const told = response.headers.get("Demonstration-Clock");
  if (told) {
    const [shown, speed] = told.split(" ").map(Number);
    fastClock = { shown, speed, readAt: (sentAt + Date.now()) / 2 };
    return;
  }
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date) || Date.now() - sentAt > PROMPT_MILLIS) return;
  const offset = date + 500 - (sentAt + Date.now()) / 2;
  clockOffsetMillis = Math.abs(offset) > CLOCK_TOLERANCE_MILLIS ? offset : 0;
}
