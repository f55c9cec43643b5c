// Fields of the pages' forms.

import { h, untrusted } from "./dom.js";

const PAUSE = 250; // milliseconds without a key, after which what was typed is searched for

/**
 * A listener that calls the function once after a pause in the events, if the field is still shown then.
 * @param {() => void} call
 */
export function delayed(call) {
  let waiting = 0;
  return (/** @type {Event} */ { target }) => {
    clearTimeout(waiting);
    waiting = window.setTimeout(() => target instanceof Node && target.isConnected && call(), PAUSE);
  };
}

/**
 * A value from the address, unless the reader is typing in the field.
 * @param {HTMLInputElement} input
 * @param {string} value
 */
export function fillUnlessFocused(input, value) {
  if (document.activeElement !== input) input.value = value;
}

/**
 * A label with its field.
 * @param {string} label
 * @param {HTMLElement} field
 */
export function labelled(label, field) {
  return h("p", {}, h("label", { for: field.id }, label), field);
}

/**
 * A choice of one of these, by value and label.
 * @param {string} id
 * @param {[value: string, label: string][]} choices
 * @param {(value: string) => void} [choose]
 */
export function choice(id, choices, choose = () => {}) {
  const options = choices.map(([value, label]) => h("option", { value }, label));
  return h("select", { id, change: (event) => choose(event.target.value) }, options);
}

/** Several values of one parameter: a field that adds one, and a button for each that takes it away. */
export class Values {
  /**
   * @param {string} id
   * @param {string} label
   * @param {(values: string[]) => void} change
   */
  constructor(id, label, change) {
    /** @type {string[]} */
    this.values = [];
    this.label = label;
    this.change = change;
    this.suggestions = h("datalist", { id: `${id}-values` });
    this.input = h("input", { id, list: `${id}-values`, autocomplete: "off", change: () => this.add() });
    this.chips = h("span", { class: "chips" });
    this.element = h("p", {}, h("label", { for: id }, label), this.input, this.suggestions, this.chips);
  }

  add() {
    const value = this.input.value.trim();
    this.input.value = "";
    if (value && !this.values.includes(value)) this.change([...this.values, value]);
  }

  /** @param {string[]} values */
  show(values) {
    this.values = values;
    const chips = values.map((value) => {
      const remove = () => this.change(values.filter((other) => other !== value));
      return h(
        "button",
        { type: "button", click: remove },
        untrusted(value),
        h("span", { class: "hidden" }, " remove"),
        " ×",
      );
    });
    this.chips.replaceChildren(...chips);
  }

  /** @param {string[]} known */
  suggest(known) {
    this.suggestions.replaceChildren(...known.map((value) => h("option", { value })));
  }
}
