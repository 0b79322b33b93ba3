/** The place of a job in the queue of its resource. When it begins is not worked out here: the gateway estimates what is at work. */

/** Which of those that wait the job is, from 1 on, and the job right ahead of it; `null` if it is not in the queue. */
export function placeInLine(id, { activeJob, queue }) {
  const index = queue.indexOf(id);
  if (index < 0) return null;
  return { place: index + 1, ahead: queue[index - 1] ?? activeJob };
}
