// The rows that the reader ticked. They stay ticked on other pages of the list.

import { h } from "./dom.js";

/** @typedef {import("./api.js").Session} Session */

export class Ticks {
  /** @param {() => void} change called after each tick */
  constructor(change) {
    this.change = change;
    /** @type {Map<string, Session>} */
    this.kept = new Map();
    /** @type {Session[]} */
    this.listed = [];
    /** @type {HTMLInputElement[]} */
    this.boxes = [];
    this.all = h("input", { type: "checkbox", "aria-label": "Tick all on this page", change: () => this.tickAll() });
    /** @type {import("./table.js").Column<Session>} */
    this.column = { label: "Take", header: this.all, cell: (row) => this.box(row) };
  }

  rows() {
    return [...this.kept.values()];
  }

  /** A new page of rows. @param {Session[]} rows */
  show(rows) {
    this.listed = rows;
    this.boxes = [];
    this.all.checked = rows.length > 0 && rows.every((row) => this.kept.has(keyOf(row)));
  }

  clear() {
    this.kept.clear();
    for (const box of [...this.boxes, this.all]) box.checked = false;
    this.change();
  }

  tickAll() {
    for (const row of this.listed) this.tick(row, this.all.checked);
    for (const box of this.boxes) box.checked = this.all.checked && !box.disabled;
    this.change();
  }

  /** @param {Session} row @param {boolean} wanted */
  tick(row, wanted) {
    if (wanted && row.available) this.kept.set(keyOf(row), row);
    else this.kept.delete(keyOf(row));
  }

  /** @param {Session} row */
  box(row) {
    const change = () => {
      this.tick(row, box.checked);
      this.change();
    };
    const label = `Tick ${row.title || row.session_file}`;
    const box = h("input", { type: "checkbox", "aria-label": label, disabled: !row.available, change });
    box.checked = this.kept.has(keyOf(row));
    this.boxes.push(box);
    return box;
  }
}

/** @param {Session} row */
function keyOf(row) {
  return JSON.stringify([row.user_id, row.session_file]);
}
