/** The form to scale one resource. */

import * as api from "../api.js";
import { hrefs } from "../routes.js";
import { putJob, resourceOf, store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import { AdvancedFields, GoalFields, SettingFields } from "./fields.js";
import { Ends, PlanView } from "./plan.js";
import { PlannedForm } from "./planned.js";
import { empty, isComplete, wishOf, wishedFor } from "./wish.js";

const ONE = {
  title: "Scale a resource", noun: "job",
  more: h("p", { class: "quiet" }, h("a", { href: hrefs.scaleSeveral }, "Scale several resources"), " as one piece of work instead."),
  subject: ({ resource }) => `The job for ${resource}`,
  // A half of a name is no resource.
  isComplete: (fields) => isComplete(fields) && resourceOf(fields.resource.trim()) !== null,
  wishOf, aliases: ({ resource }) => [resource], plan: api.plan, submit: api.submit, plans: (plan) => [plan],
  put(job) {
    putJob(job);
    return hrefs.job(job.id);
  },
  Fields: (props) => h(Fragment, null, h(GoalFields, props), h(SettingFields, props), h(AdvancedFields, props)),
  View: PlanView,
  Besides: ({ plan, fields }) =>
    fields.onConflict === "supersede" && !plan?.joins ? h(Ends, { alias: fields.resource.trim() }) : null,
  Refused: ({ error, fields }) =>
    error.code === "resource_held" ? h("p", null, h("a", { href: hrefs.resource(fields.resource.trim()) }, "To the hold")) : null,
};

export function ScalePage({ alias, again }) {
  /** The form of a job that is tried again is filled in with what it asked for. */
  const begin = () => {
    const job = store.jobs.get(again);
    return job ? wishedFor(job, resourceOf(job.resource)?.settings) : empty(alias);
  };
  // A page that was just opened does not know the job.
  const learn = () => (again && !store.jobs.has(again) ? api.job(again).then(putJob) : undefined);
  return h(PlannedForm, { kind: ONE, begin, learn });
}
