/** What the codes of failed jobs mean in a few words, and what to do about each. */

const CODES = {
  resource_not_found: ["the sidecar does not know the resource", "Compare the alias with the service key in the compose file."],
  resource_failed: ["the resource is FAILED", "Repair the resource on the platform; then try again."],
  active_timeout: ["not ready in time", "See on the platform why it does not become ACTIVE. If it only takes long, raise the active timeout."],
  no_progress: ["changes do not show", "See on the platform whether changes arrive, and whether another program undoes them."],
  outcome_unknown: ["the outcome of a change is not known", "Compare the capacity with what you expect; then try again."],
  sidecar_rejected: ["the sidecar refused a change", "Read its answer. If it names a bound, set min and max in the configuration to the platform's."],
  sidecar_unreachable: ["the sidecar gave no readings", "See whether the sidecar runs and the gateway has its address; then try again."],
  out_of_bounds: ["the target is out of bounds", "Choose a target within the bounds, or have the operator change them."],
  deadline_exceeded: ["not over before its deadline", "Try again with a longer deadline or a larger step size."],
};

/** A code in a few words. */
export const failure = (code) => CODES[code]?.[0] ?? code.replaceAll("_", " ");

/** What to do about it; nothing for a code of a later gateway. */
export const advice = (code) => CODES[code]?.[1] ?? null;
