// Finding a place in a session without reading all of it: the next and previous error, and a time.

import { ERRORS } from "./lines.js";
import { timeOf } from "./transcript.js";

/** @typedef {import("./lines.js").SessionLines} SessionLines */
/** @typedef {(bytesRead: number) => void} Progress */

const STEP = 1024 * 1024; // bytes that are searched first on the way back
const CLOSE = 256 * 1024; // bytes from which on a search by halves reads on instead

/**
 * The offset of the first line from that byte on that has an error; null if there is none.
 * @param {SessionLines} lines
 * @param {number} from
 * @param {Progress} progress
 * @param {AbortSignal} signal
 */
export async function nextError(lines, from, progress, signal) {
  for (let at = /** @type {number | null} */ (from); at !== null; ) {
    const page = await lines.after(at, 1, signal, ERRORS);
    if (page.lines.length > 0) return page.lines[0].offset;
    at = page.next;
    progress((at ?? page.size) - from);
  }
  return null;
}

/**
 * The offset of the last line before that byte that has an error; null if there is none.
 * @param {SessionLines} lines
 * @param {number} before
 * @param {Progress} progress
 * @param {AbortSignal} signal
 */
export async function previousError(lines, before, progress, signal) {
  for (let end = before, step = STEP; end > 0; step *= 8) {
    const begin = Math.max(end - step, 0);
    const found = (await lines.between(begin, end, signal, ERRORS)).pop();
    if (found) return found.offset;
    end = begin;
    progress(before - end);
  }
  return null;
}

/**
 * The offset of the first line of that time or later, as times rise through the file; null if all are earlier.
 * @param {SessionLines} lines
 * @param {number} time milliseconds since 1970
 * @param {number} size of the file
 * @param {AbortSignal} signal
 */
export async function findTime(lines, time, size, signal) {
  let low = 0;
  let high = size;
  while (high - low > CLOSE) {
    const middle = Math.floor((low + high) / 2);
    const page = await lines.after(middle, 20, signal);
    const dated = page.lines.find((line) => timeOf(line.value) !== null);
    if (dated && dated.offset < high && Number(timeOf(dated.value)) < time) low = dated.offset;
    else high = middle;
  }
  for (let at = /** @type {number | null} */ (low); at !== null; ) {
    const page = await lines.after(at, 200, signal);
    const found = page.lines.find((line) => (timeOf(line.value) ?? Number.NEGATIVE_INFINITY) >= time);
    if (found) return found.offset;
    at = page.next;
  }
  return null;
}
