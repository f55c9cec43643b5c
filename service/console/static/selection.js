// Which sessions are selected: the API's own parameters, as they stand in the address.

import { changed } from "./address.js";
import { counted, day } from "./format.js";

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const MIDNIGHT = /^(\d{4}-\d{2}-\d{2})T00:00:00(\+00:00|Z)$/;
const NAMES = ["user_id", "since", "until", "model", "errors", "q"];

/**
 * The parameters of the address that select sessions; for one user that user, whatever the address says.
 * @param {URLSearchParams} query
 * @param {string | null} user
 */
export function selectionOf(query, user) {
  const selected = new URLSearchParams([...query].filter(([name, value]) => NAMES.includes(name) && value !== ""));
  if (user !== null) selected.set("user_id", user);
  return selected;
}

/**
 * The query with another selection: what was a place in the list before is none now.
 * @param {URLSearchParams} query
 * @param {Record<string, string | string[]>} changes
 */
export function reselected(query, changes) {
  return changed(query, { ...changes, cursor: "", skipped: "" });
}

/** @param {string | null} value */
export function isDate(value) {
  return value !== null && DATE.test(value);
}

/**
 * The day so many days later.
 * @param {string} date such as 2026-05-10
 * @param {number} days
 */
export function addDays(date, days) {
  const moved = new Date(`${date}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

/**
 * The selection in words, such as "from 1 Oct 2026 to 31 Oct 2026 (UTC), with errors".
 * @param {URLSearchParams} selection
 */
export function inWords(selection) {
  const since = (selection.get("since") ?? "").replace(MIDNIGHT, "$1");
  const until = (selection.get("until") ?? "").replace(MIDNIGHT, "$1");
  const last = until && (isDate(until) ? day(addDays(until, -1)) : `before ${until}`);
  const files = selection.getAll("session_file").length;
  const words = [
    files > 0 && counted(files, "session by name", "sessions by name"),
    since && `from ${isDate(since) ? day(since) : since}`,
    last && `to ${last}`,
    (since || until) && "(UTC)",
    ...selection.getAll("model").map((model) => `with ${model}`),
    selection.get("errors") === "true" && "with errors",
    selection.has("q") && `with “${selection.get("q")}”`,
  ].filter(Boolean);
  return words.length > 0 ? words.join(" ") : "all of them";
}
