// Tables. Each row is a grid of its own, so that the browser can leave out those that are out of sight; on a narrow
// screen it is a card. Roles are given explicitly: CSS that changes the display of a table takes its roles away.

import { changed, href } from "./address.js";
import { h } from "./dom.js";
import { counted, number } from "./format.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./address.js").Address} Address */
/**
 * @template Row
 * @typedef {{label: string, cell: (row: Row) => Child | Child[], numeric?: boolean, sort?: string, head?: boolean,
 *   header?: Child}} Column `header` stands in the table's head instead of the label
 */

/**
 * @template Row
 * @param {string} kind the class that has the widths of the columns
 * @param {string} caption what the table lists, for screen readers
 * @param {Column<Row>[]} columns
 * @param {Row[]} rows
 * @param {{sorted?: string, sortHref?: (name: string) => string}} [sorting]
 */
export function table(kind, caption, columns, rows, { sorted, sortHref } = {}) {
  const heads = columns.map(({ label, numeric, sort, header }) => {
    const attributes = { role: "columnheader", scope: "col", class: numeric && "number" };
    if (!sort || !sortHref) return h("th", attributes, header ?? label);
    const current = sort === sorted;
    const link = h("a", { href: sortHref(sort), title: "Largest first" }, label, current && " ↓");
    return h("th", { ...attributes, "aria-sort": current ? "descending" : "none" }, link);
  });
  return h(
    "table",
    { role: "table", class: kind },
    h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map((row) => h("tr", { role: "row" }, cells(columns, row))),
    ),
  );
}

/**
 * @template Row
 * @param {Column<Row>[]} columns
 * @param {Row} row
 */
function cells(columns, row) {
  return columns.map(({ label, numeric, head, cell }) => {
    const content = h("span", {}, cell(row));
    const attributes = { class: numeric && "number", "data-label": label };
    return head
      ? h("th", { ...attributes, role: "rowheader", scope: "row" }, content)
      : h("td", { ...attributes, role: "cell" }, content);
  });
}

/**
 * The links to the pages before and after one by offset.
 * @param {Address} address
 * @param {{limit: number, offset: number, total: number}} pagination
 * @param {number} count rows on this page
 */
export function offsetPager(address, { limit, offset, total }, count) {
  /** @param {number} to */
  const link = (to) => href(address.path, changed(address.query, { offset: to > 0 ? String(to) : "" }));
  return pager(
    offset > 0 ? link(Math.max(offset - limit, 0)) : null,
    offset + count < total ? link(offset + limit) : null,
    range(offset, count, total),
  );
}

/**
 * The links to the first page and the next one by cursor. `skipped` in the address counts what lies before, for the eye.
 * @param {Address} address
 * @param {{next: string | null, total: number}} page
 * @param {number} count
 */
export function cursorPager(address, { next, total }, count) {
  const skipped = Number(address.query.get("skipped") ?? 0) || 0;
  /** @param {Record<string, string>} changes */
  const link = (changes) => href(address.path, changed(address.query, changes));
  return pager(
    address.query.has("cursor") ? link({ cursor: "", skipped: "" }) : null,
    next === null ? null : link({ cursor: next, skipped: String(skipped + count) }),
    range(skipped, count, total),
    "First page",
  );
}

/** @param {number} before @param {number} count @param {number} total */
function range(before, count, total) {
  if (count === 0) return counted(total, "row", "rows");
  return `${number(before + 1)} to ${number(before + count)} of ${number(total)}`;
}

/**
 * @param {string | null} back
 * @param {string | null} forward
 * @param {string} position
 * @param {string} [backLabel]
 */
function pager(back, forward, position, backLabel = "Previous page") {
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages of the list" },
    back && h("a", { class: "button", href: back }, backLabel),
    h("span", {}, position),
    forward && h("a", { class: "button", href: forward, rel: "next" }, "Next page"),
  );
}
