// Tiles, charts and tables of what is going on, drawn from the stream of readings.

import { chart } from "./charts.js";
import { byId, bytes, el, percent, rows, seconds, short, state } from "./dom.js";
import { json } from "./api.js";
import { quantile, rate, requests, together } from "./rates.js";

/** As many as there are seconds of charts, by two. */
const KEPT = 450;
/** Percentiles and tables look back so many readings, lest they jump. */
const SMOOTHED = 5;
const MINUTE = 30;

const readings = [];
let charts = null;
let say = () => {};

export function start(onTrouble) {
  say = onTrouble;
  byId("route").addEventListener("change", draw);
}

export const latest = () => readings.at(-1);

/** Takes one more reading; those already there (a stream that was begun anew) are passed over. */
export function add(reading) {
  if (readings.length > 0 && reading.time <= readings.at(-1).time) return;
  readings.push(reading);
  if (readings.length > KEPT) readings.shift();
}

/** Shows the readings. */
export function draw() {
  const now = latest();
  if (!now) return;
  for (const part of document.querySelectorAll(".http-only")) part.hidden = !now.measured;
  tiles(now);
  drawCharts();
  routes(now);
  workers(now);
  store(now);
}

const before = (count) => readings[Math.max(0, readings.length - 1 - count)];

const tile = (name, value, bad = false) =>
  el("div", { class: bad ? "bad" : false }, el("dt", {}, name), el("dd", {}, value));

/** The database, and the broker where there is one. */
function store(now) {
  const made = [];
  const { database, broker } = now;
  if (broker) {
    made.push(
      tile(`Broker ${broker.version ?? ""}`, broker.connected ? "connected" : "away", !broker.connected),
      tile("Reconnects", short(broker.reconnects)),
      tile("Failed publishes", short(broker.publish_failures), broker.publish_failures > 0),
    );
  }
  if (database) {
    const past = readings.length > 1 ? before(SMOOTHED) : undefined;
    const used = database.connections - database.connections_idle;
    made.push(
      tile("Database", database.backend),
      tile("Size", bytes(database.size_bytes)),
      tile("Connections used", `${used} of ${database.connections}`),
      tile("Requests/s", short(rate(past, now, (r) => r.database?.queries_total))),
    );
  } else {
    made.push(tile("Database", "no answer", true));
  }
  byId("store").replaceChildren(...made);
}

function tiles(now) {
  const past = readings.length > 1 ? before(SMOOTHED) : undefined;
  const happened = requests(past, now);
  const all = together(happened);
  const made = [];
  if (happened) {
    const errors = all.requests > 0 ? all.errors / all.requests : 0;
    made.push(
      tile("Requests/s", happened.elapsed > 0 ? short(all.requests / happened.elapsed) : "–"),
      tile("Errors", percent(errors), errors > 0.01),
      tile("p95", seconds(quantile(0.95, happened.bounds, all.buckets))),
    );
  }
  if (now.jobs) {
    made.push(
      tile("Waiting", short(now.jobs.waiting + now.jobs.retrying)),
      tile("Active", short(now.jobs.active)),
      tile("Done/s", short(rate(past, now, (r) => r.jobs?.completed))),
      tile("Dead letters", short(now.jobs.dlq), now.jobs.dlq > 0),
    );
  }
  if (now.workers) {
    const ready = now.workers.filter((worker) => worker.state === "ready").length;
    made.push(tile("Workers ready", `${ready} of ${now.workers.length}`, ready === 0));
  }
  byId("tiles").replaceChildren(...made);
}

const line = (label, color) => ({ label, color });

/** Distances between ticks that are whole in units of 1024. */
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

function makeCharts(now) {
  const grid = byId("chart-grid");
  const add = (title, lines, format, column, steps) => ({ ...chart(grid, title, lines, format, steps), column });
  const per = (format) => (value) => (value === null || value === undefined ? "–" : `${format(value)}/s`);
  const made = [];
  if (now.measured) {
    const route = () => byId("route").value;
    made.push(
      add("Requests", [line("all", "--c1"), line("errors", "--c5")], per(short), (was, is) => {
        const happened = requests(was, is);
        const all = together(happened, route());
        return happened?.elapsed > 0 ? [all.requests / happened.elapsed, all.errors / happened.elapsed] : [null, null];
      }),
      add("Latency", [line("p50", "--c1"), line("p95", "--c2"), line("p99", "--c5")], seconds, (_, is, at) => {
        const happened = requests(readings[Math.max(0, at - SMOOTHED)], is);
        const all = together(happened, route());
        return [0.5, 0.95, 0.99].map((q) => (at > 0 ? quantile(q, happened?.bounds ?? [], all.buckets) : null));
      }),
    );
  }
  made.push(
    add("Jobs", [line("created", "--c1"), line("done", "--c3"), line("failed", "--c5")], per(short), (was, is) =>
      ["created", "completed", "failed"].map((what) => rate(was, is, (r) => r.jobs?.[what]))),
    add("Queue", [line("waiting", "--c2"), line("retrying", "--c4"), line("active", "--c3")], short, (_, is) =>
      [is.jobs?.waiting ?? null, is.jobs?.retrying ?? null, is.jobs?.active ?? null]),
    add("Oldest waiting job", [line("age", "--c2")], seconds, (_, is) => [is.jobs?.oldest_waiting_seconds ?? null]),
    add("Worker slots", [line("used", "--c3"), line("all", "--c6")], short, (_, is) => {
      const ready = is.workers?.filter((worker) => worker.state !== "lost");
      const sum = (pick) => ready?.reduce((total, worker) => total + pick(worker), 0) ?? null;
      return [sum((worker) => worker.active), sum((worker) => worker.slots)];
    }),
  );
  if (now.measured) {
    made.push(
      add("CPU of this process", [line("cores", "--c1")], short, (was, is) =>
        [rate(was, is, (r) => r.measured?.process.cpu_seconds)]),
      add("Memory of this process", [line("resident", "--c4")], bytes, (_, is) =>
        [is.measured?.process.resident_bytes ?? null], BINARY),
    );
  }
  if (now.database) {
    made.push(
      add("Database requests", [line("requests", "--c1"), line("transactions", "--c3")], per(short), (was, is) =>
        ["queries_total", "transactions_total"].map((what) => rate(was, is, (r) => r.database?.[what]))),
    );
  }
  return made;
}

function drawCharts() {
  charts ??= makeCharts(latest());
  const times = readings.map((reading) => reading.time / 1000);
  for (const one of charts) {
    const points = readings.map((reading, at) => one.column(readings[at - 1], reading, at));
    one.update(times, points[0].map((_, column) => points.map((point) => point[column])));
  }
}

function routes(now) {
  const happened = requests(before(MINUTE), now);
  if (!happened) return;
  const select = byId("route");
  const known = new Set([...select.options].map((option) => option.value));
  for (const { name } of happened.routes) {
    if (!known.has(name)) select.append(el("option", { value: name }, name));
  }
  const busy = happened.routes.filter((route) => route.requests > 0).sort((a, b) => b.requests - a.requests);
  const number = (text) => el("td", { class: "number" }, text);
  const row = (route) => {
    const at = (q) => number(seconds(quantile(q, happened.bounds, route.buckets)));
    return el("tr", {},
      el("th", { scope: "row" }, route.name),
      number(short(route.requests / happened.elapsed)),
      number(percent(route.errors / route.requests)),
      at(0.5), at(0.95), at(0.99));
  };
  rows(byId("route-rows"), busy, (route) => route.name, row, "No request in the last minute.");
}

function workers(now) {
  const row = (worker) => {
    const draining = worker.state === "draining";
    const label = draining ? "Undrain" : "Drain";
    const age = Math.max(0, (now.time - Date.parse(worker.last_heartbeat)) / 1000);
    return el("tr", {},
      el("th", { scope: "row" }, worker.worker),
      el("td", {}, worker.hostname),
      el("td", {}, state(worker.state)),
      el("td", {}, el("meter", { min: 0, max: Math.max(worker.slots, 1), value: worker.active, "aria-label": "slots used" }), ` ${worker.active} of ${worker.slots}`),
      el("td", { class: "number" }, short(worker.processed)),
      el("td", { class: "number" }, seconds(Math.round(age))),
      el("td", {}, worker.state !== "lost"
        ? el("button", { type: "button", "data-action": "drain", "aria-label": `${label} ${worker.worker}`, "data-drain": draining ? "undrain" : "drain", "data-worker": worker.worker }, label)
        : ""));
  };
  rows(byId("worker-rows"), now.workers ?? [], (worker) => worker.worker, row, "No worker is connected: jobs wait. Start one with `osapi worker`.");
}

byId("worker-rows").addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  try {
    await json("POST", `/worker/${encodeURIComponent(button.dataset.worker)}/${button.dataset.drain}`);
  } catch (error) {
    say(error.message);
  }
});
