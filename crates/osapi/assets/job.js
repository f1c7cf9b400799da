// One job: what is known of it, followed as it changes.

import { follow, json } from "./api.js";
import { byId, clock, el, state } from "./dom.js";

let current = null;
let watching = null;
let changed = () => {};

export function start(onChange) {
  changed = onChange;
  byId("job").addEventListener("close", () => {
    watching?.abort();
    // The row it was opened from may have been drawn anew since, and then the focus has nowhere to go.
    if (document.activeElement.matches("body, #job *")) {
      document.querySelector(`#job-rows [data-job="${current}"]`)?.focus();
    }
    current = null;
  });
  byId("job-cancel").addEventListener("click", () => act("DELETE", `/job/${current}`, "cancelled"));
  byId("job-remove").addEventListener("click", () => act("DELETE", `/job/${current}`, "removed"));
  byId("job-retry").addEventListener("click", () => act("POST", `/job/${current}/retry`, "retried"));
}

/** Shows a job and follows it until it ends. */
export async function open(id) {
  watching?.abort();
  const ours = new AbortController();
  watching = ours;
  current = id;
  byId("job-title").textContent = `Job ${id}`;
  byId("job-body").replaceChildren();
  byId("job-said").textContent = "";
  buttons(null);
  if (!byId("job").open) byId("job").showModal();
  try {
    await follow(`/job/${id}/events`, (name, data) => {
      if (ours.signal.aborted) return;
      if (name === "job") show(data);
      else byId("job-said").textContent = data.detail ?? "The job cannot be read.";
    }, ours.signal);
  } catch (error) {
    if (!ours.signal.aborted) byId("job-said").textContent = error.message;
  }
}

function buttons(job) {
  const ended = job !== null && ["completed", "failed", "cancelled"].includes(job.status);
  byId("job-cancel").hidden = job === null || ended;
  byId("job-remove").hidden = !ended;
  byId("job-retry").hidden = !ended;
}

async function act(method, path, what) {
  const said = byId("job-said");
  try {
    const answer = await json(method, path);
    changed();
    if (what === "retried") {
      await open(answer.job_id);
    } else if (what === "removed") {
      byId("job").close();
    } else {
      said.textContent = what;
    }
  } catch (error) {
    said.textContent = error.message;
  }
}

function show(job) {
  const focused = document.activeElement?.id;
  buttons(job);
  // A button that went away takes the focus with it.
  if (focused && byId(focused)?.hidden) byId("job").querySelector(".close").focus();
  const facts = [
    ["State", state(job.status)],
    ["Operation", job.operation.type],
    ["Target", job.target_hostname],
    ["Worker", job.worker],
    ["Attempts", String(job.attempts)],
    ["Error", job.error],
  ];
  const body = [
    el("dl", { class: "facts" }, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("h3", {}, "Timeline"),
    el("ol", { class: "timeline" }, ...job.timeline.map(happened)),
    ...text("Input", job.operation.data),
    ...text("Result", job.result),
    ...text("Results by worker", job.responses),
  ];
  byId("job-body").replaceChildren(...body);
  changed();
}

function happened(event) {
  const by = event.worker ? ` on ${event.worker}` : "";
  const why = event.message ? `: ${event.message}` : "";
  return el("li", {}, el("time", { datetime: event.timestamp }, clock(event.timestamp)), `${event.event}${by}${why}`);
}

function text(title, value) {
  if (value === undefined || value === null) return [];
  const text = JSON.stringify(value, null, 2);
  return text === "{}" ? [] : [el("h3", {}, title), el("pre", { tabindex: 0 }, text)];
}
