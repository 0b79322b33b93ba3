/** What the policy of one resource decided, newest first, as far as it was read. */

/** Most decisions that the page keeps. The gateway has more. */
const MAX_DECISIONS = 1_000;

export class Ledger {
  decisions = [];
  loaded = false;
  loading = false;
  problem = null;
  /** Whether something was missed since it was asked for what is being loaded. */
  isWantedAgain = false;
  nextPageToken = null;
  /** Set once older ones were forgotten. */
  cut = false;

  /** Takes in one that was just taken, or one that is known and was taken again. */
  add(decision) {
    const at = this.decisions.findIndex(({ id }) => id === decision.id);
    if (at < 0) this.decisions.unshift(decision);
    else if (this.decisions[at].count <= decision.count) this.decisions[at] = decision;
    this.#trim();
  }

  /** Takes in the newest page in place of what is here, but for what was taken while it was on its way. */
  addNewest({ decisions, nextPageToken }) {
    const newest = decisions[0]?.lastAt ?? "";
    const since = this.decisions.filter(({ lastAt }) => lastAt > newest);
    Object.assign(this, { decisions, nextPageToken, cut: false, loaded: true });
    for (const decision of since.reverse()) this.add(decision);
  }

  addOlder({ decisions, nextPageToken }) {
    this.decisions = [...this.decisions, ...decisions];
    this.nextPageToken = nextPageToken;
    this.#trim();
  }

  #trim() {
    if (this.decisions.length <= MAX_DECISIONS) return;
    this.decisions.length = MAX_DECISIONS;
    // A page after the last one would leave a gap.
    this.nextPageToken = null;
    this.cut = true;
  }
}
