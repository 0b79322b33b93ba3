/**
 * With which API key this tab talks to the gateway, and whether it may.
 *
 * The key is kept in the tab's session storage and nowhere else: other tabs have their own, and it is gone with the tab. A
 * session ends when the gateway refuses the key or the key is forgotten; what was asked in a session that has ended is
 * never answered, so that nothing seen with one key is shown with another.
 */

/** The name in the session storage. */
const STORED_AS = "scalegate-key";

/** What the gateway says of keys. A 401 with any other code comes from something in between, and says nothing of ours. */
const ABOUT_KEYS = ["authentication_required", "invalid_key", "key_expired", "key_revoked"];

const KEY_LENGTH = 51;

export const session = {
  /** `unknown` until the gateway has answered, `admitted`, or `locked`: nothing is asked until a key was entered. */
  phase: "unknown",
  key: stored(),
  /** Another object for each session. */
  identity: {},
  /** Why it is locked: what the gateway said. */
  problem: null,
  /** Whether the user ended the last session. */
  wasForgotten: false,
  /** Scopes that the key does not have, as far as that is known. */
  lacks: new Set(),
  /** What the gateway says of the caller; `null` until it has. */
  caller: null,
};

/** All scopes. */
const SCOPES = ["read", "scale", "admin", "push"];


let onEnd = () => {};
let onBegin = () => {};

/** `ended` is called when everything that is known has to be forgotten, `begun` when asking makes sense again. */
export const onSession = ({ ended, begun }) => ([onEnd, onBegin] = [ended, begun]);

function stored() {
  try {
    const key = sessionStorage.getItem(STORED_AS);
    return key !== null && malformed(key) === null ? key : null;
  } catch {
    return null;
  }
}

function setKey(key) {
  session.key = key;
  session.lacks.clear();
  session.caller = null;
  try {
    if (key === null) sessionStorage.removeItem(STORED_AS);
    else sessionStorage.setItem(STORED_AS, key);
  } catch {
    // A browser that keeps nothing asks again after each reload.
  }
}

function end() {
  session.identity = {};
  setKey(null);
  onEnd();
}

/** Whether a refusal is about the key. */
export const isAboutKey = ({ status, code }) => status === 401 && ABOUT_KEYS.includes(code);

/** The gateway refused the key, or wants one. */
export function lock(problem) {
  const wasForgotten = session.wasForgotten && session.phase === "unknown";
  Object.assign(session, { phase: "locked", problem, wasForgotten });
  end();
}

/** The gateway answered, or cannot: either way there is something to show. */
export function settle() {
  if (session.phase !== "unknown") return;
  session.phase = "admitted";
  onBegin({ isFirst: false });
}

/** Goes on with a key that the gateway has admitted. */
export function enter(key) {
  setKey(key);
  Object.assign(session, { phase: "admitted", problem: null, wasForgotten: false });
  onBegin({ isFirst: true });
}

/** Goes on with another key, or without one, and keeps what was read. */
export const adopt = (key) => setKey(key);

/** Forgets the key. The gateway says whether there is anything to see without one. */
export function forget() {
  Object.assign(session, { phase: "unknown", problem: null, wasForgotten: true });
  end();
  onBegin({ isFirst: true });
}

/** The gateway has told who asks with `key`. Another one may be in use by now. */
export function introduce(caller, key) {
  if (session.key !== key) return;
  session.caller = caller;
  session.lacks = new Set(SCOPES.filter((scope) => !caller.scopes.includes(scope)));
}

/** The key lacks a scope. */
export const lacking = (scope) => session.lacks.add(scope);

/** What was entered as a key, without what comes along when it is copied from somewhere. */
export const cleaned = (text) => text.trim().replace(/^(authorization:\s*)?bearer\s+/i, "").replace(/^["']|["']$/g, "");

/** What is wrong with a text that cannot be a key, so that it need not be sent; else `null`. */
export function malformed(text) {
  if (text === "") return "Enter a key.";
  if (/^sg_[0-9A-Za-z]{48}$/.test(text)) return null;
  if (!text.startsWith("sg_")) return "This is no API key: one begins with sg_.";
  if (text.length !== KEY_LENGTH) return `A key has ${KEY_LENGTH} characters; this has ${text.length}. It may have been cut off.`;
  return "A key has only letters and digits after sg_.";
}

/** The public part of a key, by which it is listed. */
export const idOf = (key) => key.slice(3, 13);
