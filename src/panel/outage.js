/** What is out of order between the page and the resources. One cause is told once, the one that explains the others. */

import { gatewayNow } from "./clock.js";
import { store } from "./store.js";

/** Whether the gateway can be heard: it answers, and is ready but for its store. */
function isGatewayAway({ connection, isSilent, readiness }) {
  if (connection.phase !== "open") return connection.mentioned;
  const problem = readiness?.problem;
  return isSilent || (problem !== undefined && problem.reason !== "storage_unavailable");
}

/** What is out of order: `gateway`, `store` or `sidecar`; else `null`. */
export function cause(state = store) {
  if (isGatewayAway(state)) return "gateway";
  if (state.readiness?.problem) return "store";
  return state.readiness?.sidecar?.reachable === false ? "sidecar" : null;
}

/** Whether an error says no more than what is out of order already does. */
export function isExplained({ status, code }) {
  switch (cause()) {
    case "gateway": return status === undefined;
    case "store": return code === "storage_unavailable";
    case "sidecar": return code === "sidecar_unreachable";
    default: return false;
  }
}

/** Up to when the panel knows how things are, in milliseconds: estimates go no further. */
export function knownUntil() {
  const { connection, readiness } = store;
  const now = gatewayNow();
  switch (cause()) {
    case "gateway": return connection.lostAt ?? now;
    case "sidecar": return Math.min(now, Date.parse(readiness.sidecar.lastAnswerAt ?? "") || now);
    default: return now;
  }
}

const NO_ESTIMATE = {
  gateway: "No estimate while the gateway is away",
  store: "No estimate while the store fails",
  sidecar: "No estimate while the sidecar does not answer",
};

/** Why there is nothing to estimate from; `null` if there is. */
export const whyNoEstimate = () => NO_ESTIMATE[cause()] ?? null;
