// A session's lines as a conversation. Everything is shown as text, whatever is in it; what has an unexpected shape is
// shown as the JSON that it is.

import { h, untrusted, visibleText } from "./dom.js";
import { moment, size } from "./format.js";

/** @typedef {import("./api.js").Line} Line */
/** @typedef {Record<string, any>} Json a JSON object, of which nothing is known */

const LONG = 4000; // characters of a text that are shown at once

/** The object that a value is, or an empty one. @param {unknown} value @returns {Json} */
function objectOf(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

/** The parts of a line's message. @param {unknown} value @returns {Json[]} */
function blocksOf(value) {
  const content = objectOf(objectOf(value).message).content;
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) return [];
  return content.map((block) => (typeof block === "string" ? { type: "text", text: block } : objectOf(block)));
}

/** How many failed tool calls the line reports. @param {unknown} value */
function errorsOf(value) {
  const line = objectOf(value);
  const own = line.type === "tool_use_result" && line.is_error === true ? 1 : 0;
  return own + blocksOf(value).filter((block) => block.type === "tool_result" && block.is_error === true).length;
}

/** The line's time in milliseconds since 1970, or null. @param {unknown} value */
export function timeOf(value) {
  const time = Date.parse(objectOf(value).timestamp);
  return Number.isNaN(time) ? null : time;
}

/**
 * One line, to be read.
 * @param {Line} line
 * @param {(line: Line, into: HTMLElement) => void} showRaw
 */
export function entry(line, showRaw) {
  const raw = h("div");
  const errors = errorsOf(line.value);
  const values = objectOf(line.value);
  const named = `line-${line.offset}`;
  const head = h(
    "header",
    {},
    h("h2", { id: named }, speaker(line)),
    errors > 0 && h("strong", { class: "error" }, "Error"),
    values.isMeta === true && h("span", { class: "badge" }, "meta"),
    values.isSidechain === true && h("span", { class: "badge" }, "subagent"),
    timeOf(line.value) !== null && moment(values.timestamp),
    h("button", { type: "button", class: "quiet", click: () => showRaw(line, raw) }, "Raw"),
  );
  const attributes = { "aria-labelledby": named, "data-offset": line.offset, tabindex: -1 };
  return h("article", { ...attributes, class: errors > 0 ? "entry failed" : "entry" }, head, ...body(line), raw);
}

/** @param {Line} line */
function speaker(line) {
  const value = objectOf(line.value);
  const blocks = blocksOf(value);
  if (blocks.length > 0 && blocks.every((block) => block.type === "tool_result")) return "Tool result";
  if (value.type === "user") return "User";
  if (value.type === "assistant") {
    const model = objectOf(value.message).model;
    return h("span", {}, "Assistant ", typeof model === "string" && h("small", {}, untrusted(model)));
  }
  if (typeof value.type === "string") return untrusted(value.type[0]?.toUpperCase() + value.type.slice(1, 60));
  return line.text === undefined ? "Line" : "Not JSON";
}

/** @param {Line} line @returns {HTMLElement[]} */
function body(line) {
  const value = objectOf(line.value);
  if (line.cut) return [h("p", {}, `A line of ${size(line.length)}; its beginning:`), longText(line.text ?? "")];
  if (line.text !== undefined && line.text !== null) return [longText(line.text)];
  const blocks = blocksOf(value);
  if (blocks.length > 0) return blocks.map(blockElement);
  const text = [value.summary, value.content, value.message].find((item) => typeof item === "string");
  if (text !== undefined) return [longText(text)];
  return [folded("As JSON", json(line.value), false)];
}

/** @param {Json} block @returns {HTMLElement} */
function blockElement(block) {
  switch (block.type) {
    case "text":
      return longText(String(block.text ?? ""));
    case "thinking":
      return folded("Thinking", String(block.thinking ?? ""), false);
    case "tool_use":
      return folded(`Tool call: ${block.name}${summaryOf(block.input)}`, json(block.input), false);
    case "tool_result":
      return folded(
        `Result${summaryOf(resultText(block.content))}`,
        resultText(block.content),
        block.is_error === true,
      );
    default:
      return folded(`${block.type ?? "Part"}`, json(block), false);
  }
}

/** A tool's result as text. @param {unknown} content */
function resultText(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return json(content);
  return content.map((part) => (typeof part?.text === "string" ? part.text : json(part))).join("\n");
}

/** The first words of what a call was given or gave. @param {unknown} value */
function summaryOf(value) {
  const first =
    typeof value === "string" ? value : Object.values(objectOf(value)).find((item) => typeof item === "string");
  const line = (first ?? "").trim().split("\n", 1)[0];
  return line && `: ${line.length > 100 ? `${line.slice(0, 100)}…` : line}`;
}

/** @param {unknown} value */
function json(value) {
  return JSON.stringify(value, null, 2) ?? "";
}

/** @param {string} summary @param {string} text @param {boolean} failed */
function folded(summary, text, failed) {
  const mark = failed ? h("strong", { class: "error" }, "Error ") : "";
  const details = h(
    "details",
    { class: failed ? "failed" : "", open: failed },
    h("summary", {}, mark, untrusted(summary)),
  );
  const fill = () => details.childElementCount === 1 && details.append(longText(text, "pre"));
  details.addEventListener("toggle", fill);
  if (failed) fill();
  return details;
}

/**
 * A text of which a long rest is shown on demand.
 * @param {string} text
 * @param {"div" | "pre"} [tag]
 */
export function longText(text, tag = "div") {
  const shown = h(tag, { class: "text", dir: "auto" }, visibleText(text.slice(0, LONG)));
  if (text.length <= LONG) return shown;
  const more = h("button", { type: "button", click: () => all() }, `Show all of it (${size(text.length)})`);
  const all = () => {
    shown.textContent = visibleText(text);
    more.remove();
  };
  return h("div", {}, shown, more);
}
