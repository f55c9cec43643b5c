// Elements from data. Text only ever becomes a text node: there is no way here to turn it into markup.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * An HTML element. A function as an attribute listens to the event of that name; `null`, `undefined` and `false` leave
 * an attribute or a child out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element, as `h` makes HTML.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Where a page shows what it found. It takes the focus when a link inside it that had the focus is gone. */
export function resultsRegion() {
  return h("section", { class: "results", "aria-label": "Results", tabindex: -1 });
}

/**
 * Text that others wrote: isolated, so that its direction does not reorder what stands beside it, and with control
 * characters made visible.
 * @param {string | null | undefined} text
 * @returns {HTMLElement}
 */
export function untrusted(text) {
  return h("bdi", {}, visibleText(text ?? ""));
}

/**
 * The text with control characters (ANSI escapes, NUL) as their pictures, and marks that change the direction of what
 * follows as their code.
 * @param {string} text
 */
export function visibleText(text) {
  return text
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, (mark) => `[U+${mark.charCodeAt(0).toString(16).toUpperCase()}]`)
    .replace(/\r\n/g, "\n")
    .replace(CONTROL, (control) => String.fromCharCode(control === "\x7f" ? 0x2421 : 0x2400 + control.charCodeAt(0)));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {(Child | Child[])[]} children
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
  }
  return element;
}
