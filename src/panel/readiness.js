/** Asks whether the gateway is ready, which no event tells, nor whether the sidecar answers. */

import * as api from "./api.js";
import { Problem } from "./request.js";
import { changed, store } from "./store.js";

/** A gateway that does not answer is asked again this soon; the answer that does not come takes longer. */
const SILENT_AGAIN_MILLIS = 1_000;

let askingSilent = null;

export async function checkReadiness() {
  clearTimeout(askingSilent);
  try {
    store.readiness = await api.readiness();
    store.isSilent = false;
  } catch (error) {
    const isAnswer = error instanceof Problem;
    if (isAnswer) store.readiness = { problem: error };
    // A stream that is open and quiet says nothing about a gateway that hangs.
    store.isSilent = !isAnswer;
    if (store.isSilent && !document.hidden && store.connection.phase === "open") {
      clearTimeout(askingSilent);
      askingSilent = setTimeout(checkReadiness, SILENT_AGAIN_MILLIS);
    }
  }
  changed();
}

export const stopAsking = () => clearTimeout(askingSilent);
