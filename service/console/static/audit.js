// Who took what: the audit log, searched.

import { changed, go, href, readAddress } from "./address.js";
import { apiPath, ask } from "./api.js";
import { h, resultsRegion, untrusted } from "./dom.js";
import { choice, labelled } from "./fields.js";
import { counted, moment, size } from "./format.js";
import { addDays, isDate } from "./selection.js";
import { cursorPager, table } from "./table.js";

/** @typedef {import("./api.js").AuditRow} AuditRow */
/** @typedef {import("./address.js").Address} Address */

/** @type {Record<string, string>} */
const ACTIONS = {
  session_bulk_download_started: "Began to take an archive",
  session_bulk_download: "Took an archive",
  session_download_started: "Began to take a session",
  session_download: "Took a session",
  session_view: "Read a session here",
  "admin.sessions_read": "Listed sessions",
  "admin.user_activity_read": "Read what a user did",
  "admin.audit_read": "Read the audit log",
  "admin.link_made": "Made a link",
  "admin.user_saved": "Changed a user",
};
const RESULTS = ["success", "started", "aborted", "error", "interrupted"];

/** @type {import("./table.js").Column<AuditRow>[]} */
const COLUMNS = [
  { label: "Time", head: true, cell: (row) => moment(row.timestamp) },
  {
    label: "Who",
    cell: (row) => h("a", { href: href(["audit"], { actor: row.user_id ?? "" }) }, untrusted(row.user_id)),
  },
  { label: "What", cell: (row) => h("span", { title: row.action }, ACTIONS[row.action] ?? untrusted(row.action)) },
  { label: "Of", cell: (row) => untrusted(row.resource) },
  { label: "How much", cell: (row) => untrusted(amount(row.params ?? {})) },
  {
    label: "Result",
    cell: (row) => h("span", { class: `result ${row.result === "success" ? "" : "badge"}` }, untrusted(row.result)),
  },
  { label: "From", cell: (row) => untrusted([row.client_ip, row.client_kind].filter(Boolean).join(" ")) },
  { label: "Request", cell: (row) => requestLink(row) },
  { label: "Details", cell: (row) => details(row) },
];

/** @returns {import("./main.js").Page} */
export function auditPage() {
  const results = resultsRegion();
  const form = new AuditForm();
  return {
    title: "Who took what",
    results,
    element: h("div", {}, h("h1", {}, "Who took what"), form.element, results),
    async update(address, signal) {
      form.show(address.query);
      const query = changed(address.query, { limit: "100", skipped: "" });
      /** @type {import("./api.js").CursorPage<AuditRow>} */
      const page = await ask(apiPath("audit"), query, { signal });
      results.replaceChildren(
        h("p", { role: "status" }, counted(page.total, "entry", "entries")),
        table("audit", "Audit log", COLUMNS, page.rows),
        cursorPager(address, page, page.rows.length),
      );
    },
  };
}

class AuditForm {
  constructor() {
    /** @param {string} id @param {string} type */
    const input = (id, type) => h("input", { id, type, autocomplete: "off", change: () => this.select(id) });
    this.inputs = {
      actor: input("actor", "search"),
      about: input("about", "search"),
      since: input("since", "date"),
      until: input("until", "date"),
      action: choice("action", [["", "Anything"], ...Object.entries(ACTIONS)], () => this.select("action")),
      result: choice(
        "result",
        [["", "Any"], ...RESULTS.map((name) => /** @type {[string, string]} */ ([name, name]))],
        () => this.select("result"),
      ),
    };
    this.element = h(
      "form",
      { role: "search", class: "filters", submit: (event) => event.preventDefault() },
      labelled("Who did it (user id)", this.inputs.actor),
      labelled("Whose sessions (user id)", this.inputs.about),
      labelled("What", this.inputs.action),
      labelled("Result", this.inputs.result),
      labelled("From (UTC)", this.inputs.since),
      labelled("To, inclusive (UTC)", this.inputs.until),
      h("button", { type: "button", click: () => go(href(["audit"])) }, "Show all"),
    );
  }

  /** @param {URLSearchParams} query */
  show(query) {
    for (const [name, input] of Object.entries(this.inputs)) input.value = query.get(name) ?? "";
    const until = query.get("until");
    this.inputs.until.value = until && isDate(until) ? addDays(until, -1) : "";
  }

  /** @param {string} name */
  select(name) {
    const value = this.inputs[/** @type {keyof AuditForm["inputs"]} */ (name)].value.trim();
    const wanted = name === "until" && value ? addDays(value, 1) : value;
    const { query } = readAddress();
    go(href(["audit"], changed(query, { [name]: wanted, cursor: "", skipped: "" })));
  }
}

/** @param {Record<string, unknown>} params */
function amount({ file_count: files, bytes_sent: sent, total_bytes: total, bytes }) {
  const count = typeof files === "number" ? counted(files, "file", "files") : "";
  const volume = [sent, total, bytes].find((value) => typeof value === "number");
  return [count, typeof volume === "number" ? size(volume) : ""].filter(Boolean).join(", ");
}

/** @param {AuditRow} row */
function requestLink(row) {
  if (!row.correlation_id) return "–";
  const title = `All entries of request ${row.correlation_id}`;
  return h(
    "a",
    { href: href(["audit"], { correlation_id: row.correlation_id }), title },
    untrusted(row.correlation_id.slice(0, 8)),
  );
}

/** @param {AuditRow} row */
function details(row) {
  const text = JSON.stringify({ params: row.params, duration_ms: row.duration_ms }, null, 2);
  return h("details", {}, h("summary", {}, "All"), h("pre", { class: "text" }, untrusted(text)));
}
