// Numbers, sizes and times in the reader's own locale and time zone.

import { h } from "./dom.js";

const NUMBER = new Intl.NumberFormat();
const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"].map(
  (unit) => new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }),
);

/** @param {number} value */
export function number(value) {
  return NUMBER.format(value);
}

/** @param {number} count @param {string} one @param {string} many */
export function counted(count, one, many) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/**
 * Bytes in units of 1000, such as "4.2 MB".
 * @param {number | null} bytes
 */
export function size(bytes) {
  if (bytes === null) return "–";
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  return UNITS[power].format(bytes / 1000 ** power);
}

/**
 * A moment in the reader's time zone, and below it in UTC.
 * @param {string | null | undefined} iso
 */
export function moment(iso) {
  if (!iso) return h("span", {}, "–");
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return h("span", {}, "–");
  const utc = `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return h("time", { datetime: at.toISOString() }, LOCAL.format(at), " ", h("small", {}, utc));
}

/**
 * A day in UTC.
 * @param {string} date such as 2026-05-10
 */
export function day(date) {
  return DAY.format(new Date(`${date}T00:00:00Z`));
}

/**
 * Seconds as "2 h 5 min".
 * @param {number | null} seconds
 */
export function duration(seconds) {
  if (seconds === null) return "–";
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${number(seconds)} s`;
  if (minutes < 60) return `${number(minutes)} min`;
  return `${number(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}
