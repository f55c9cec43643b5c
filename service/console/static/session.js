// One session, read page by page. The address has the byte at which the page begins, and the highlighted line.

import { changed, go, href, readAddress, replaceAddress } from "./address.js";
import { apiPath, ask, Problem, send } from "./api.js";
import { h, resultsRegion, untrusted } from "./dom.js";
import { counted, duration, moment, size } from "./format.js";
import { SessionLines } from "./lines.js";
import { problemPanel } from "./problem.js";
import { findTime, nextError, previousError } from "./seek.js";
import { oneSession, openTake } from "./take.js";
import { entry, longText } from "./transcript.js";

/** @typedef {import("./api.js").Line} Line */
/** @typedef {import("./address.js").Address} Address */

const PAGE = 100; // lines
const MOST_RAW = 1024 * 1024; // bytes of a raw line that are shown

/**
 * @param {string} user
 * @param {string} file
 * @param {() => void} refresh shows the address again after it was replaced
 * @returns {import("./main.js").Page}
 */
export function sessionPage(user, file, refresh) {
  const page = new SessionPage(user, file, refresh);
  return {
    title: file,
    element: page.element,
    results: page.results,
    update: (address, signal) => page.update(address, signal),
  };
}

class SessionPage {
  /** @param {string} user @param {string} file @param {() => void} refresh */
  constructor(user, file, refresh) {
    this.user = user;
    this.file = file;
    this.refresh = refresh;
    this.lines = new SessionLines(user, file);
    this.results = resultsRegion();
    this.title = h("h1", {}, untrusted(file));
    this.facts = h("p");
    this.status = h("p", { role: "status" });
    this.searching = new AbortController();
    this.begin = 0; // the page's first byte
    this.next = /** @type {number | null} */ (null);
    this.size = 0;
    this.position = h("input", { id: "position", type: "range", min: 0, max: 1000, change: () => this.jump() });
    this.time = h("input", { id: "time", type: "datetime-local", step: 1 });
    this.element = h("div", {}, this.head(), this.tools(), this.status, this.results, this.pager());
  }

  /** What the list says of the session; it may not be indexed yet. @param {AbortSignal} signal */
  async describe(signal) {
    if (this.facts.firstChild) return;
    const query = { session_file: this.file, limit: "1" };
    /** @type {import("./api.js").OffsetPage<import("./api.js").Session>} */
    const { rows } = await ask(apiPath("users", this.user, "sessions"), query, { signal });
    const row = rows[0];
    if (!row) return;
    this.title.replaceChildren(untrusted(row.title || row.session_file));
    this.facts.replaceChildren(
      moment(row.started_at),
      ` · ${duration(row.wall_seconds)} · ${counted(row.tool_calls ?? 0, "tool call", "tool calls")} · `,
      counted(row.tool_errors ?? 0, "error", "errors"),
      ...row.models.flatMap((model) => [" · ", untrusted(model)]),
    );
  }

  head() {
    const take = () => openTake(oneSession(this.user, this.file, this.size));
    return h(
      "div",
      {},
      this.title,
      this.facts,
      h(
        "p",
        {},
        h("a", { href: href(["users", this.user]) }, untrusted(this.user)),
        " / ",
        untrusted(this.file),
        " · ",
        h("button", { type: "button", click: take }, "Take it…"),
      ),
    );
  }

  tools() {
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.search((signal) => findTime(this.lines, this.time.valueAsNumber + zone(this.time.value), this.size, signal));
    };
    const previous = () =>
      this.search((signal) => previousError(this.lines, this.currentOffset(), this.progress, signal));
    const next = () => this.search((signal) => nextError(this.lines, this.currentOffset() + 1, this.progress, signal));
    return h(
      "div",
      { class: "tools" },
      h("button", { type: "button", click: previous }, "Previous error"),
      h("button", { type: "button", click: next }, "Next error"),
      h("form", { submit }, h("label", { for: "time" }, "Time"), this.time, h("button", { type: "submit" }, "Jump")),
      h("p", {}, h("label", { for: "position" }, "Position"), this.position),
    );
  }

  pager() {
    return h(
      "nav",
      { class: "pager", "aria-label": "Pages of the session" },
      h("button", { type: "button", click: () => this.goTo(0) }, "Beginning"),
      h("button", { type: "button", click: () => this.earlier() }, "Earlier"),
      h("button", { type: "button", click: () => this.goTo(this.next ?? this.begin) }, "Later"),
      h("button", { type: "button", click: () => this.end() }, "End"),
    );
  }

  /** @param {Address} address @param {AbortSignal} signal */
  async update(address, signal) {
    this.searching.abort();
    const from = Number(address.query.get("from") ?? 0) || 0;
    const page = await this.lines.after(from, PAGE, signal);
    this.begin = page.lines[0]?.offset ?? from;
    this.next = page.next;
    this.size = page.size;
    const end = page.next ?? page.size;
    const part = `${size(this.begin)} to ${size(end)} of ${size(page.size)}`;
    this.status.replaceChildren(`${counted(page.lines.length, "line", "lines")}, ${part}`);
    this.position.value = String(page.size === 0 ? 0 : (this.begin / page.size) * 1000);
    this.position.setAttribute("aria-valuetext", part);
    this.results.replaceChildren(...page.lines.map((line) => entry(line, (raw, into) => this.showRaw(raw, into))));
    this.highlight(address.query.get("at"));
    await this.describe(signal).catch((error) => {
      if (!(error instanceof Problem)) throw error;
      this.facts.replaceChildren(untrusted(error.message)); // the conversation can be read without them
    });
  }

  /** Mark a line and scroll to it. @param {string | null} offset */
  highlight(offset) {
    for (const marked of this.results.querySelectorAll("[aria-current]")) marked.removeAttribute("aria-current");
    const found = [...this.results.children].find((child) => child.getAttribute("data-offset") === offset);
    if (!(found instanceof HTMLElement)) return;
    found.setAttribute("aria-current", "true");
    found.focus({ preventScroll: true });
    requestAnimationFrame(() => found.scrollIntoView({ block: "center" }));
  }

  /** The byte of the highlighted line; without one, just before the page. */
  currentOffset() {
    const at = readAddress().query.get("at");
    return at === null ? this.begin - 1 : Number(at);
  }

  /** @param {number} from */
  goTo(from) {
    const { path, query } = readAddress();
    go(href(path, changed(query, { from: from > 0 ? String(from) : "", at: "" })));
  }

  /** @param {number} offset */
  goToLine(offset) {
    const { path, query } = readAddress();
    const listed = this.results.querySelector(`[data-offset="${offset}"]`) !== null;
    const target = href(path, changed(query, { at: String(offset), ...(listed ? {} : { from: String(offset) }) }));
    if (!listed) return go(target);
    replaceAddress(target);
    this.highlight(String(offset));
  }

  jump() {
    this.goTo(Math.floor((Number(this.position.value) / 1000) * this.size));
  }

  earlier() {
    this.search(
      async (signal) => (await this.lines.before(this.begin, PAGE, signal))[0]?.offset ?? 0,
      (at) => this.goTo(at),
    );
  }

  end() {
    this.search(
      async (signal) => (await this.lines.before(this.size, PAGE, signal))[0]?.offset ?? 0,
      (at) => this.goTo(at),
    );
  }

  /** @param {number} bytes */
  progress = (bytes) => {
    this.status.replaceChildren(`Searched ${size(bytes)} …`);
  };

  /**
   * Look for a line, and show it; a new search ends the one before.
   * @param {(signal: AbortSignal) => Promise<number | null>} find
   * @param {(offset: number) => void} [show]
   */
  async search(find, show = (offset) => this.goToLine(offset)) {
    this.searching.abort();
    this.searching = new AbortController();
    const signal = this.searching.signal;
    this.status.replaceChildren("Searching …");
    try {
      const offset = await find(signal);
      if (signal.aborted) return;
      this.status.replaceChildren(offset === null ? "There is none." : "Found.");
      if (offset !== null) show(offset);
    } catch (error) {
      if (!signal.aborted) this.status.replaceChildren(problemPanel(error, this.refresh));
    }
  }

  /**
   * The line's own bytes, which the parsed value may not tell (spaces, digits, keys given twice).
   * @param {Line} line
   * @param {HTMLElement} into
   */
  async showRaw({ offset, length }, into) {
    if (into.firstChild) return into.replaceChildren();
    const last = offset + Math.min(length, MOST_RAW) - 1;
    try {
      const path = apiPath("users", this.user, "sessions", this.file, "download");
      const response = await send(path, {}, { headers: { Range: `bytes=${offset}-${last}` } });
      const cut = length > MOST_RAW && h("p", {}, `The first ${size(MOST_RAW)} of ${size(length)}:`);
      into.replaceChildren(...[cut, longText(await response.text(), "pre")].filter((part) => part instanceof Node));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      into.replaceChildren(problemPanel(error, () => {}));
    }
  }
}

/** Milliseconds that the reader's time zone is behind UTC then. @param {string} local such as 2026-05-10T12:00 */
function zone(local) {
  return new Date(local).getTimezoneOffset() * 60_000;
}
