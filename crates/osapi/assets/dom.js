// Small helpers to build elements. Text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (`on...` are listeners, false leaves one out) and children. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export const state = (name) => el("span", { class: `state ${name}` }, name);

/**
 * Fills a table body with one row per item. Rows of items that stay are kept as long as they look the
 * same, so that focus and selection survive a refresh.
 */
export function rows(body, items, key, row, empty) {
  const known = new Map([...body.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const fresh = row(item);
    fresh.dataset.key = key(item);
    const old = known.get(fresh.dataset.key);
    return old && old.isEqualNode(fresh) ? old : fresh;
  });
  if (wanted.length === 0) {
    const columns = body.parentElement.tHead.rows[0].cells.length;
    wanted.push(el("tr", {}, el("td", { class: "empty", colspan: columns }, empty)));
  }
  if (wanted.length === body.children.length && wanted.every((row, at) => row === body.children[at])) return;
  const focused = document.activeElement?.closest?.("tr")?.dataset.key;
  const control = document.activeElement?.dataset?.action;
  body.replaceChildren(...wanted);
  if (focused && !body.contains(document.activeElement)) {
    const row = wanted.find((row) => row.dataset.key === focused);
    row?.querySelector(control ? `[data-action="${control}"]` : "button")?.focus();
  }
}

const steps = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** A number for people: three digits and a suffix. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const [by, suffix] = steps.find(([by]) => Math.abs(value) >= by) ?? [1, ""];
  const scaled = value / by;
  const digits = Number.isInteger(scaled) || Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return scaled.toFixed(digits) + suffix;
}

/** Seconds for people. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${short(value * 1e6)} µs`;
  if (value < 1) return `${short(value * 1e3)} ms`;
  if (value < 60) return `${short(value)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  if (value < 86400) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  return `${Math.floor(value / 86400)} d ${Math.floor((value % 86400) / 3600)} h`;
}

/** Bytes for people, in powers of 1024. */
export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${short(value)} ${units[unit]}`;
}

export const percent = (value) => (value === null || Number.isNaN(value) ? "–" : `${short(value * 100)} %`);

/** The time of day of an RFC 3339 timestamp, with the date unless it is today. */
export function clock(timestamp) {
  const time = new Date(timestamp);
  const today = new Date().toDateString() === time.toDateString();
  return today ? time.toLocaleTimeString() : time.toLocaleString();
}
