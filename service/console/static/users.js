// The users, searched as you type, and the directories that belong to nobody.

import { changed, href, readAddress, replaceAddress } from "./address.js";
import { apiPath, ask } from "./api.js";
import { h, resultsRegion, untrusted } from "./dom.js";
import { delayed, fillUnlessFocused } from "./fields.js";
import { counted, moment, number, size } from "./format.js";
import { offsetPager, table } from "./table.js";

/** @typedef {import("./main.js").Page} Page */
/** @typedef {import("./api.js").User} User */
/** @typedef {import("./api.js").Directory} Directory */

/** @type {import("./table.js").Column<User>[]} */
const USERS = [
  { label: "User", head: true, cell: (row) => h("a", { href: href(["users", row.user_id]) }, untrusted(row.email)) },
  {
    label: "Name",
    cell: (row) => [untrusted(row.name), " ", !row.active && h("span", { class: "badge" }, "inactive")],
  },
  { label: "Id", cell: (row) => untrusted(row.user_id) },
  { label: "Sessions", numeric: true, cell: (row) => number(row.sessions) },
  { label: "Size", numeric: true, cell: (row) => size(row.size_bytes) },
  { label: "Last session", cell: (row) => moment(row.last_session_at) },
];

/** @type {import("./table.js").Column<Directory>[]} */
const DIRECTORIES = [
  { label: "Directory", head: true, cell: (row) => untrusted(row.directory) },
  { label: "Sessions", numeric: true, cell: (row) => number(row.sessions) },
  { label: "Size", numeric: true, cell: (row) => size(row.size_bytes) },
  { label: "Last session", cell: (row) => moment(row.last_session_at) },
];

/**
 * @param {() => void} refresh shows the address again after it was replaced
 * @returns {Page}
 */
export function usersPage(refresh) {
  const results = resultsRegion();
  const input = h("input", { id: "search", type: "search", autocomplete: "off", input: delayed(search) });

  function search() {
    replaceAddress(href(["users"], changed(readAddress().query, { q: input.value, offset: "" })));
    refresh();
  }

  return {
    title: "Users",
    results,
    element: h(
      "div",
      {},
      h("h1", {}, "Users"),
      h(
        "form",
        { role: "search", class: "filters", submit: (/** @type {Event} */ event) => event.preventDefault() },
        h("p", {}, h("label", { for: "search" }, "E-mail, name or id"), input),
        h("p", { class: "check" }, h("a", { href: href(["unassigned"]) }, "Directories that belong to nobody")),
      ),
      results,
    ),
    async update(address, signal) {
      fillUnlessFocused(input, address.query.get("q") ?? "");
      /** @type {import("./api.js").OffsetPage<User>} */
      const page = await ask(apiPath("users"), changed(address.query, { limit: "100" }), { signal });
      results.replaceChildren(
        h("p", { role: "status" }, counted(page.pagination.total, "user", "users")),
        table("users", "Users", USERS, page.rows),
        offsetPager(address, page.pagination, page.rows.length),
      );
    },
  };
}

/** @returns {Page} */
export function unassignedPage() {
  const results = resultsRegion();
  return {
    title: "Directories of nobody",
    results,
    element: h(
      "div",
      {},
      h("h1", {}, "Directories that belong to nobody"),
      h("p", {}, "No user's e-mail or id leads to these directories, so no user's sessions include theirs."),
      results,
    ),
    async update(address, signal) {
      /** @type {import("./api.js").OffsetPage<Directory>} */
      const page = await ask(apiPath("unassigned"), changed(address.query, { limit: "100" }), { signal });
      results.replaceChildren(
        h("p", { role: "status" }, counted(page.pagination.total, "directory", "directories")),
        table("directories", "Directories", DIRECTORIES, page.rows),
        offsetPager(address, page.pagination, page.rows.length),
      );
    },
  };
}
