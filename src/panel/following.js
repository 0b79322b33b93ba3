/**
 * The group that is looked at, by a stream of its own: that of all events tells of jobs only. One at a time, and none while the
 * page is hidden: browsers allow six connections to a gateway.
 */

import * as api from "./api.js";
import { EventStream } from "./events.js";
import { changed, isGroupOver, putGroup, store } from "./store.js";

/** The group and its stream: `{id, stream}`; `null` if none is looked at. */
let followed = null;

/** Follows a group until it is over, or let go of. */
export function follow(id) {
  if (followed?.id === id) return;
  letGo();
  followed = { id, stream: newStream(id) };
  followed.stream.start();
}

export function letGo() {
  followed?.stream.stop();
  followed = null;
  store.groupProblem = null;
}

function newStream(id) {
  const isPresent = () => followed?.stream === opened;
  const opened = new EventStream({
    open: async (lastEventId, signal) => {
      try {
        return await api.openGroupEvents(id, lastEventId, signal);
      } catch (error) {
        if (isPresent()) refused(id, error);
        throw error;
      }
    },
    onEvent: ({ type, data }) => {
      if (type !== "group" || !isPresent()) return;
      const group = JSON.parse(data);
      store.groupProblem = null;
      putGroup(group);
      if (isGroupOver(group)) opened.stop();
    },
    onState: () => {},
  });
  return opened;
}

function refused(id, error) {
  if (error.status === 404) {
    store.groups.delete(id);
    store.missingGroups.add(id);
    followed.stream.stop();
  } else {
    store.groupProblem = error;
    // Where no more streams can be had there may still be answers.
    if (error.status !== undefined) api.group(id).then(putGroup, () => {});
  }
  changed();
}
