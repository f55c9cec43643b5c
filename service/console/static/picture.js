// Sessions over time: bars by day, week or month, stacked. Dragging over them selects that time.

import { h, svg, untrusted } from "./dom.js";
import { counted, day, number } from "./format.js";
import { addDays } from "./selection.js";

/** @typedef {{day: string, model: string | null, sessions: number, with_errors: number}} DayRow */
/** @typedef {{first: string, end: string, total: number, parts: number[]}} Bar `end` is the day after its last */
/** @typedef {{kinds: {name: string, style: string}[], bars: Bar[]}} Stack `style` is the class of its part of a bar */

const WIDTH = 1000;
const HEIGHT = 160;
const MOST_BARS = 200;
const MOST_MODELS = 5;

/**
 * The picture with its legend, and the same as a table for those who do not see it or do not drag.
 * @param {DayRow[]} rows by day
 * @param {"model" | "errors"} by
 * @param {(since: string, until: string) => void} select `until` is the day after the last
 */
export function picture(rows, by, select) {
  if (rows.length === 0) return h("p", {}, "Nothing to draw.");
  const stack = stacked(rows, by);
  return h(
    "figure",
    { class: "picture" },
    drawing(stack, select),
    h("figcaption", {}, legend(stack.kinds)),
    h("details", {}, h("summary", {}, "The same as a table"), asTable(stack, select)),
  );
}

/**
 * @param {DayRow[]} rows
 * @param {"model" | "errors"} by
 * @returns {Stack}
 */
function stacked(rows, by) {
  const models = by === "model" ? commonest(rows) : [];
  const kinds =
    by === "model"
      ? [...models, "other models"].map((name, part) => ({ name, style: `part-${part}` }))
      : [
          { name: "without errors", style: "part-0" },
          { name: "with errors", style: "part-errors" },
        ];
  const bars = emptyBars(rows[0].day, rows[rows.length - 1].day, kinds.length);
  let at = 0;
  for (const row of rows) {
    while (row.day >= bars[at].end) at += 1;
    const bar = bars[at];
    bar.total += row.sessions;
    if (by === "model") {
      const place = models.indexOf(row.model ?? "unknown");
      bar.parts[place === -1 ? models.length : place] += row.sessions;
    } else {
      bar.parts[0] += row.sessions - row.with_errors;
      bar.parts[1] += row.with_errors;
    }
  }
  const used = kinds.map((_, part) => bars.some((bar) => bar.parts[part] > 0));
  for (const bar of bars) bar.parts = bar.parts.filter((_, part) => used[part]);
  return { kinds: kinds.filter((_, part) => used[part]), bars };
}

/** @param {DayRow[]} rows */
function commonest(rows) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { model, sessions } of rows)
    counts.set(model ?? "unknown", (counts.get(model ?? "unknown") ?? 0) + sessions);
  return [...counts]
    .sort((one, other) => other[1] - one[1])
    .slice(0, MOST_MODELS)
    .map(([model]) => model);
}

/**
 * Bars of a day, or of as many weeks as are needed to have no more than MOST_BARS.
 * @param {string} first
 * @param {string} last
 * @param {number} parts
 */
function emptyBars(first, last, parts) {
  const days = (Date.parse(last) - Date.parse(first)) / 86_400_000 + 1;
  const step = days <= MOST_BARS ? 1 : 7 * Math.ceil(days / 7 / MOST_BARS);
  /** @type {Bar[]} */
  const bars = [];
  for (let begin = first; begin <= last; begin = addDays(begin, step))
    bars.push({ first: begin, end: addDays(begin, step), total: 0, parts: Array(parts).fill(0) });
  return bars;
}

/**
 * @param {Stack} stack
 * @param {(since: string, until: string) => void} select
 */
function drawing({ kinds, bars }, select) {
  const highest = Math.max(...bars.map((bar) => bar.total));
  const width = WIDTH / bars.length;
  const total = bars.reduce((sum, bar) => sum + bar.total, 0);
  const label = `${counted(total, "session", "sessions")} from ${day(bars[0].first)} to ${day(lastDay(bars[bars.length - 1]))}`;
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    bars.flatMap((bar, index) => drawnBar(bar, index * width, Math.min(width * 0.85, 60), highest, kinds)),
  );
  const band = svg("rect", { class: "band", y: 0, height: HEIGHT, width: 0 });
  chart.append(band);
  dragging(chart, band, bars, select);
  return h(
    "div",
    { class: "chart" },
    h("span", { class: "highest" }, number(highest)),
    chart,
    h("span", { class: "first" }, day(bars[0].first)),
    h("span", { class: "last" }, day(lastDay(bars[bars.length - 1]))),
  );
}

/** @param {Bar} bar */
function lastDay(bar) {
  return addDays(bar.end, -1);
}

/** @param {Bar} bar */
function span(bar) {
  return addDays(bar.first, 1) === bar.end ? day(bar.first) : `${day(bar.first)} – ${day(lastDay(bar))}`;
}

/**
 * @param {Bar} bar
 * @param {number} x
 * @param {number} width
 * @param {number} highest
 * @param {Stack["kinds"]} kinds
 */
function drawnBar(bar, x, width, highest, kinds) {
  let top = HEIGHT;
  return bar.parts.flatMap((count, part) => {
    if (count === 0) return [];
    const height = (count / highest) * HEIGHT;
    top -= height;
    const title = svg("title", {}, `${span(bar)}: ${number(count)} ${kinds[part].name}`);
    return [svg("rect", { class: kinds[part].style, x, y: top, width, height }, title)];
  });
}

/**
 * @param {SVGSVGElement} chart
 * @param {SVGRectElement} band
 * @param {Bar[]} bars
 * @param {(since: string, until: string) => void} select
 */
function dragging(chart, band, bars, select) {
  let from = -1;
  /** @param {PointerEvent} event */
  const barAt = (event) => {
    const { left, width } = chart.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - left) / width) * bars.length), 0), bars.length - 1);
  };
  /** @param {number} to */
  const mark = (to) => {
    const width = WIDTH / bars.length;
    band.setAttribute("x", String(Math.min(from, to) * width));
    band.setAttribute("width", String((Math.abs(to - from) + 1) * width));
  };
  chart.addEventListener("pointerdown", (event) => {
    from = barAt(event);
    chart.setPointerCapture(event.pointerId);
    mark(from);
  });
  chart.addEventListener("pointermove", (event) => from >= 0 && mark(barAt(event)));
  chart.addEventListener("pointerup", (event) => {
    if (from < 0) return;
    const to = barAt(event);
    select(bars[Math.min(from, to)].first, bars[Math.max(from, to)].end);
    from = -1;
  });
  chart.addEventListener("pointercancel", () => {
    from = -1;
    band.setAttribute("width", "0");
  });
}

/** @param {Stack["kinds"]} kinds */
function legend(kinds) {
  const items = kinds.map(({ name, style }) => {
    const swatch = svg(
      "svg",
      { viewBox: "0 0 10 10", "aria-hidden": "true" },
      svg("rect", { class: style, width: 10, height: 10 }),
    );
    return h("li", {}, swatch, " ", untrusted(name));
  });
  return h("ul", { class: "legend" }, items);
}

/**
 * @param {Stack} stack
 * @param {(since: string, until: string) => void} select
 */
function asTable({ kinds, bars }, select) {
  const heads = ["Time (UTC)", ...kinds.map(({ name }) => name)].map((name) =>
    h("th", { scope: "col" }, untrusted(name)),
  );
  const rows = bars
    .filter((bar) => bar.total > 0)
    .map((bar) => {
      const button = h("button", { type: "button", click: () => select(bar.first, bar.end) }, span(bar));
      const counts = bar.parts.map((count) => h("td", { class: "number" }, number(count)));
      return h("tr", {}, h("th", { scope: "row" }, button), counts);
    });
  return h(
    "div",
    { class: "scrolled", tabindex: 0, role: "group", "aria-label": "Sessions over time" },
    h("table", { class: "plain" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)),
  );
}
