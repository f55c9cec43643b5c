// The lines of a session file, by byte offset: a page costs the same at the end of 100 MB as at its beginning.

import { apiPath, ask } from "./api.js";

/** @typedef {import("./api.js").Line} Line */
/** @typedef {import("./api.js").Lines} Lines */

export const ERRORS = { errors: "true" };
const WINDOW = 256 * 1024; // bytes read to find the lines before an offset

export class SessionLines {
  /** @param {string} user @param {string} file */
  constructor(user, file) {
    this.path = apiPath("users", user, "sessions", file, "lines");
  }

  /**
   * The lines from that byte on; in the middle of a line, from the next one on.
   * @param {number} from
   * @param {number} limit at most 200
   * @param {AbortSignal} signal
   * @param {Record<string, string>} [only] `ERRORS` for only the lines with errors
   * @returns {Promise<Lines>}
   */
  after(from, limit, signal, only = {}) {
    return ask(this.path, { from: String(from), limit: String(limit), ...only }, { signal });
  }

  /**
   * The last lines before that byte, which begins a line: at most `limit`, of a window that grows until it holds one.
   * @param {number} to
   * @param {number} limit
   * @param {AbortSignal} signal
   * @returns {Promise<Line[]>}
   */
  async before(to, limit, signal) {
    for (let width = WINDOW; ; width *= 4) {
      const begin = Math.max(to - width, 0);
      const lines = await this.between(begin, to, signal);
      if (lines.length > 0 || begin === 0) return lines.slice(-limit);
    }
  }

  /**
   * All lines that begin in this part of the file.
   * @param {number} begin
   * @param {number} end
   * @param {AbortSignal} signal
   * @param {Record<string, string>} [only] as for `after`
   */
  async between(begin, end, signal, only = {}) {
    /** @type {Line[]} */
    const found = [];
    for (let from = /** @type {number | null} */ (begin); from !== null && from < end; ) {
      const page = await this.after(from, 200, signal, only);
      found.push(...page.lines.filter((line) => line.offset < end));
      from = page.next;
    }
    return found;
  }
}
