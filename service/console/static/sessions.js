// Sessions, of one user or of all: the filter, the picture, the list, and what can be taken of it.

import { changed, go, href, readAddress } from "./address.js";
import { apiPath, ask } from "./api.js";
import { h, resultsRegion, untrusted } from "./dom.js";
import { choice, labelled } from "./fields.js";
import { Filters } from "./filters.js";
import { counted, duration, moment, number, size } from "./format.js";
import { picture } from "./picture.js";
import { problemPanel } from "./problem.js";
import { inWords, reselected, selectionOf } from "./selection.js";
import { cursorPager, table } from "./table.js";
import { openTake, ticked, wholeSelection } from "./take.js";
import { Ticks } from "./ticks.js";

/** @typedef {import("./api.js").Session} Session */
/** @typedef {import("./api.js").CursorPage<Session>} SessionRows */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./table.js").Column<Session>} Column */

const PAGE = "200"; // rows; the most that the API gives at once

/** @type {Column[]} */
const FACTS = [
  { label: "Project", cell: (row) => untrusted(row.project) },
  { label: "Started", sort: "started_at", cell: (row) => moment(row.started_at) },
  { label: "Lasted", numeric: true, cell: (row) => duration(row.wall_seconds) },
  { label: "Size", numeric: true, sort: "size_bytes", cell: (row) => (row.available ? size(row.size_bytes) : "gone") },
  { label: "Models", cell: (row) => row.models.flatMap((model, at) => [at > 0 && ", ", untrusted(model)]) },
  { label: "Calls", numeric: true, cell: (row) => number(row.tool_calls ?? 0) },
  { label: "Errors", numeric: true, sort: "tool_errors", cell: (row) => errors(row.tool_errors) },
];

/**
 * @param {string | null} user the user's id; null for all users
 * @param {() => void} refresh shows the address again after it was replaced
 * @returns {import("./main.js").Page}
 */
export function sessionsPage(user, refresh) {
  const page = new SessionsPage(user, refresh);
  return {
    title: user ?? "Sessions",
    element: page.element,
    results: page.results,
    update: (address, signal) => page.update(address, signal),
  };
}

class SessionsPage {
  /** @param {string | null} user @param {() => void} refresh */
  constructor(user, refresh) {
    this.user = user;
    this.results = resultsRegion();
    this.filters = new Filters(user === null, refresh);
    this.ticks = new Ticks(() => this.showTicks());
    this.title = h("h1", {}, user === null ? "Sessions of all users" : untrusted(user));
    this.about = h("div", { class: user === null ? "" : "about" });
    this.described = false;
    this.picture = h("div", { class: "drawing" });
    this.taking = h("p", { class: "taking" });
    this.drawn = /** @type {string | null} */ (null); // the selection that the picture shows
    /** @type {import("./picture.js").DayRow[]} */
    this.days = [];
    this.total = 0;
    this.by = choice(
      "by",
      [
        ["model", "model"],
        ["errors", "errors"],
      ],
      (by) => this.redraw(by),
    );
    this.element = h(
      "div",
      {},
      this.title,
      this.about,
      this.filters.element,
      h(
        "section",
        { "aria-label": "Sessions over time", class: "over-time" },
        labelled("Stacked by", this.by),
        this.picture,
      ),
      this.taking,
      this.results,
    );
  }

  /** @param {Address} address @param {AbortSignal} signal */
  async update(address, signal) {
    this.filters.show(address.query);
    const selection = selectionOf(address.query, this.user);
    const place = Object.fromEntries([...address.query].filter(([name]) => name === "sort" || name === "cursor"));
    const listed = ask(apiPath("sessions"), changed(selection, { ...place, limit: PAGE }), { signal });
    this.fillPart(this.about, signal, () => this.describe(signal));
    this.list(address, await listed);
    this.fillPart(this.picture, signal, () => this.draw(selection, signal)); // after the rows: it takes longer
  }

  /**
   * Fill a part of the page that the list does not wait for; what goes wrong is shown there.
   * @param {HTMLElement} part
   * @param {AbortSignal} signal
   * @param {() => Promise<void>} fill
   */
  async fillPart(part, signal, fill) {
    part.setAttribute("aria-busy", "true");
    try {
      await fill();
    } catch (error) {
      if (signal.aborted) return;
      part.replaceChildren(problemPanel(error, () => this.fillPart(part, signal, fill)));
    }
    part.removeAttribute("aria-busy");
  }

  /** Who the user is. @param {AbortSignal} signal */
  async describe(signal) {
    if (this.user === null || this.described) return;
    /** @type {import("./api.js").User} */
    const user = await ask(apiPath("users", this.user), {}, { signal });
    this.described = true;
    const name = [user.name, user.user_id, user.active ? null : "inactive"].filter(Boolean).join(", ");
    const facts = `${counted(user.sessions, "session", "sessions")}, ${size(user.size_bytes)}`;
    this.title.replaceChildren(untrusted(user.email));
    this.about.replaceChildren(
      h("p", {}, untrusted(name), ` · ${facts}`),
      h("p", {}, h("a", { href: href(["audit"], { about: this.user }) }, "Who looked at this person's sessions")),
    );
  }

  /** @param {Address} address @param {SessionRows} page */
  list(address, { rows, next, total }) {
    this.total = total;
    this.ticks.show(rows);
    this.filters.models.suggest([...new Set(rows.flatMap((row) => row.models))]);
    const sortHref = (/** @type {string} */ sort) =>
      href(address.path, reselected(address.query, { sort: sort === "started_at" ? "" : sort }));
    this.results.replaceChildren(
      h(
        "p",
        { role: "status" },
        `${counted(total, "session", "sessions")} found: `,
        untrusted(inWords(selectionOf(address.query, null))),
      ),
      table(this.user === null ? "sessions of-all" : "sessions", "Sessions", this.columns(), rows, {
        sorted: address.query.get("sort") ?? "started_at",
        sortHref,
      }),
      cursorPager(address, { next, total }, rows.length),
    );
    this.showTicks();
  }

  /** @returns {Column[]} */
  columns() {
    /** @type {Column} */
    const title = { label: "Session", head: true, cell: (row) => sessionLink(row, this.user) };
    /** @type {Column} */
    const owner = {
      label: "User",
      cell: (row) => h("a", { href: href(["users", row.user_id ?? ""]) }, untrusted(row.email)),
    };
    return [this.ticks.column, title, ...(this.user === null ? [owner] : []), ...FACTS];
  }

  showTicks() {
    const rows = this.ticks.rows();
    const selection = selectionOf(readAddress().query, null);
    const all = () => openTake(wholeSelection(this.user, selection, inWords(selection)));
    const some = () => openTake(ticked(rows, this.user));
    this.taking.replaceChildren(
      h("button", { type: "button", disabled: this.total === 0, click: all }, `Take all ${number(this.total)} found…`),
      h(
        "button",
        { type: "button", disabled: rows.length === 0, click: some },
        rows.length === 0 ? "Take ticked…" : `Take the ${number(rows.length)} ticked…`,
      ),
      ...(rows.length > 0 ? [h("button", { type: "button", click: () => this.ticks.clear() }, "Untick all")] : []),
    );
  }

  /** @param {URLSearchParams} selection @param {AbortSignal} signal */
  async draw(selection, signal) {
    const query = selection.toString();
    if (query === this.drawn) return;
    this.drawn = null; // if it fails, a problem is shown instead of the picture
    const { rows } = await ask(apiPath("sessions", "days"), selection, { signal });
    this.days = rows;
    this.drawn = query;
    this.redraw(this.by.value);
  }

  /** @param {string} by */
  redraw(by) {
    const select = (/** @type {string} */ since, /** @type {string} */ until) => {
      const { path, query } = readAddress();
      go(href(path, reselected(query, { since, until })));
    };
    this.picture.replaceChildren(picture(this.days, by === "errors" ? "errors" : "model", select));
  }
}

/** @param {Session} row @param {string | null} user */
function sessionLink(row, user) {
  const name = untrusted(row.title || row.session_file);
  if (!row.available) return name;
  return h(
    "a",
    { href: href(["users", user ?? row.user_id ?? "", "sessions", row.session_file]), title: row.session_file },
    name,
  );
}

/** @param {number | null} count */
function errors(count) {
  return !count ? "0" : h("strong", { class: "error" }, number(count));
}
