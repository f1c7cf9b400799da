// The list of jobs, and the form that submits one.

import { json } from "./api.js";
import { byId, clock, el, rows, seconds, short, state } from "./dom.js";
import { open } from "./job.js";

const PAGE = 20;
const STATES = ["submitted", "processing", "retrying", "completed", "failed", "cancelled"];
/** What each operation could be given, to begin with. */
const EXAMPLES = {
  "network.ping": { address: "127.0.0.1", count: 3 },
  "network.dns.get": { name: "localhost" },
  "command.exec": { program: "uptime", args: [] },
  sleep: { seconds: 2 },
};

let shown = "";
let offset = 0;
let running = false;
let again = false;
let say = () => {};

export function start(onTrouble) {
  say = onTrouble;
  const buttons = ["", ...STATES].map((name) =>
    el("button", { type: "button", "data-state": name, "aria-pressed": String(name === shown) }, name || "all"));
  byId("filters").append(...buttons);
  byId("filters").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    shown = button.dataset.state;
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    turn(0);
  });
  byId("newer").addEventListener("click", () => turn(Math.max(0, offset - PAGE)));
  byId("older").addEventListener("click", () => turn(offset + PAGE));
  byId("job-rows").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(button.dataset.job);
  });
  byId("submit-open").addEventListener("click", () => {
    byId("submit-said").textContent = "";
    byId("submit").showModal();
  });
  byId("operation").addEventListener("change", example);
  byId("submit-form").addEventListener("submit", submit);
}

function turn(to) {
  offset = to;
  refresh();
}

/** Reads the list again; if it is being read, once more after that. */
export async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    const filter = shown ? `&status=${shown}` : "";
    show(await json("GET", `/job?limit=${PAGE}&offset=${offset}${filter}`));
    say("");
  } catch (error) {
    say(`The jobs could not be read: ${error.message}`);
  }
  running = false;
  if (again) {
    again = false;
    refresh();
  }
}

function show(page) {
  const counts = page.status_counts;
  for (const button of byId("filters").children) {
    const name = button.dataset.state;
    const count = name ? counts[name] : STATES.reduce((sum, state) => sum + counts[state], 0);
    button.textContent = `${name || "all"} ${short(count)}`;
  }
  rows(byId("job-rows"), page.items, (job) => job.id, row, shown ? `No job is ${shown}.` : "No jobs yet: submit one.");
  const last = offset + page.items.length;
  byId("job-range").textContent = page.items.length > 0 ? `${offset + 1} to ${last} of ${page.total_items}` : "";
  byId("newer").disabled = offset === 0;
  byId("older").disabled = last >= page.total_items;
}

function row(job) {
  const took = job.finished_at && job.started_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
  return el("tr", {},
    el("th", { scope: "row" }, el("button", { type: "button", class: "link id", "data-job": job.id, "aria-label": `Job ${job.id}` }, job.id.slice(-12))),
    el("td", {}, job.operation.type),
    el("td", {}, state(job.status)),
    el("td", {}, job.target_hostname),
    el("td", {}, job.worker ?? "–"),
    el("td", { class: "number" }, String(job.attempts)),
    el("td", {}, el("time", { datetime: job.created_at }, clock(job.created_at))),
    el("td", { class: "number" }, seconds(took)));
}

/** Fills what the form offers. */
export function offer(operations, workers) {
  const select = byId("operation");
  if (select.options.length !== operations.length) {
    select.replaceChildren(...operations.map((name) => el("option", { value: name }, name)));
    example();
  }
  const names = ["_any", "_all", ...new Set(workers.flatMap((worker) => [worker.hostname, worker.worker]))];
  const list = byId("targets");
  if ([...list.options].map((option) => option.value).join() !== names.join()) {
    list.replaceChildren(...names.map((name) => el("option", { value: name })));
  }
}

function example() {
  byId("data").value = JSON.stringify(EXAMPLES[byId("operation").value] ?? {}, null, 1);
}

async function submit(event) {
  event.preventDefault();
  const said = byId("submit-said");
  said.textContent = "";
  let data;
  try {
    data = JSON.parse(byId("data").value || "{}");
  } catch (error) {
    said.textContent = `The input is not JSON: ${error.message}`;
    return;
  }
  const button = event.submitter;
  if (button) button.disabled = true;
  try {
    const job = await json("POST", "/job", {
      operation: { type: byId("operation").value, data },
      target_hostname: byId("target").value,
    });
    byId("submit").close();
    refresh();
    open(job.job_id);
  } catch (error) {
    said.textContent = error.message;
  }
  if (button) button.disabled = false;
}
