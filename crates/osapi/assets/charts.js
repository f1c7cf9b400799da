// Line charts over time, drawn by uPlot.

import { el } from "./dom.js";

const HEIGHT = 170;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const time = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const charts = new Set();

/**
 * A chart: `lines` are {label, color: "--c1"}, `format` makes text of a value, `steps` are the distances
 * ticks may have. `update(times, columns)` takes seconds since the epoch, and a column of numbers (or
 * nulls) per line. Beside each label stands its value at the pointer, or the latest.
 */
export function chart(grid, title, lines, format, steps) {
  const plot = el("div", { class: "plot", role: "img", "aria-label": title });
  const values = lines.map(() => el("span", { class: "value" }));
  const legend = el("p", { class: "legend" }, ...lines.map((line, at) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = `var(${line.color})`;
    return el("span", {}, swatch, line.label, values[at]);
  }), el("span", { class: "value" }));
  grid.append(el("div", { class: "chart" }, el("h3", {}, title), legend, plot));

  let drawn = null;
  let data = [[], ...lines.map(() => [])];
  const tell = () => {
    const last = data[0].length - 1;
    const at = drawn?.cursor.idx ?? last;
    lines.forEach((_, line) => (values[line].textContent = format(data[line + 1][at])));
    legend.lastChild.textContent = at < last ? `at ${time(data[0][at])}` : "";
  };
  const draw = () => {
    drawn?.destroy();
    drawn = new uPlot(options(plot, lines, format, steps, tell), data, plot);
  };
  const update = (times, columns) => {
    data = [times, ...columns];
    if (drawn) drawn.setData(data);
    else draw();
    tell();
    const now = lines.map((line, at) => `${line.label} ${format(columns[at].at(-1))}`);
    plot.setAttribute("aria-label", `${title}: ${now.join(", ")}`);
  };
  new ResizeObserver(() => drawn?.setSize({ width: plot.clientWidth, height: HEIGHT })).observe(plot);
  const made = { update, redraw: () => drawn && draw() };
  charts.add(made);
  return made;
}

/** Draws all charts again, in the colours of now. */
export function redraw() {
  for (const made of charts) made.redraw();
}

/** What is shown of time: at least ten seconds, also of one reading, which uPlot would show a day of. */
function span(drawn, first, last) {
  return [first, drawn.data[0].length > 1 ? Math.max(last, first + 10) : first + 10];
}

function options(plot, lines, format, steps, tell) {
  const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
  const series = lines.map(({ label, color }) => ({
    label,
    stroke: css(color),
    width: 1.8,
    points: { show: false },
  }));
  return {
    width: plot.clientWidth || 320,
    height: HEIGHT,
    padding: [8, 28, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "osapi" } },
    legend: { show: false },
    hooks: { setCursor: [tell] },
    scales: { x: { time: true, range: span }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, size: 26, space: 80, values: (_, ticks) => ticks.map(time) },
      { ...axis, size: 66, incrs: steps, values: (_, ticks) => ticks.map(format) },
    ],
    series: [{}, ...series],
  };
}
