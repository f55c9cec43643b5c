// The form that selects sessions. It shows what the address says, and each change goes into the address.

import { go, href, readAddress, replaceAddress } from "./address.js";
import { h } from "./dom.js";
import { choice, delayed, fillUnlessFocused, labelled, Values } from "./fields.js";
import { addDays, isDate, reselected } from "./selection.js";

/** @type {[string, string][]} */
const SORTS = [
  ["", "Newest first"],
  ["size_bytes", "Largest first"],
  ["tool_errors", "Most errors first"],
];

export class Filters {
  /**
   * @param {boolean} acrossUsers
   * @param {() => void} refresh shows the address again after it was replaced
   */
  constructor(acrossUsers, refresh) {
    this.refresh = refresh;
    this.text = h("input", { id: "q", type: "search", autocomplete: "off", input: delayed(() => this.search()) });
    this.since = h("input", { id: "since", type: "date", change: () => this.select({ since: this.since.value }) });
    this.until = h("input", { id: "until", type: "date", change: () => this.selectUntil() });
    this.models = new Values("model", "Model", (model) => this.select({ model }));
    this.users = acrossUsers ? new Values("user", "User id", (user_id) => this.select({ user_id })) : null;
    this.errors = h("input", {
      id: "errors",
      type: "checkbox",
      change: () => this.select({ errors: this.errors.checked ? "true" : "" }),
    });
    this.sort = choice("sort", SORTS, (sort) => this.select({ sort }));
    this.element = h(
      "form",
      { role: "search", class: "filters", submit: (event) => event.preventDefault() },
      labelled("Title, project, file or session", this.text),
      labelled("From (UTC)", this.since),
      labelled("To, inclusive (UTC)", this.until),
      this.models.element,
      this.users?.element,
      labelled("Order", this.sort),
      h("p", { class: "check" }, this.errors, h("label", { for: "errors" }, "Only with errors")),
      h("button", { type: "button", click: () => this.clear() }, "Show all"),
    );
  }

  /** @param {URLSearchParams} query */
  show(query) {
    const since = query.get("since") ?? "";
    const until = query.get("until") ?? "";
    fillUnlessFocused(this.text, query.get("q") ?? "");
    this.since.value = isDate(since.slice(0, 10)) ? since.slice(0, 10) : "";
    this.until.value = isDate(until) ? addDays(until, -1) : isDate(until.slice(0, 10)) ? until.slice(0, 10) : "";
    this.models.show(query.getAll("model"));
    this.users?.show(query.getAll("user_id"));
    this.errors.checked = query.get("errors") === "true";
    this.sort.value = query.get("sort") ?? "";
  }

  /** @param {Record<string, string | string[]>} changes */
  select(changes) {
    const { path, query } = readAddress();
    go(href(path, reselected(query, changes)));
  }

  selectUntil() {
    this.select({ until: this.until.value && addDays(this.until.value, 1) });
  }

  search() {
    const { path, query } = readAddress();
    replaceAddress(href(path, reselected(query, { q: this.text.value })));
    this.refresh();
  }

  clear() {
    go(href(readAddress().path));
  }
}
