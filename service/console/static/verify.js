// The page that verifies an archive on the reader's own disk. Nothing of the archive leaves the browser.

import { href } from "./address.js";
import { h, resultsRegion, untrusted } from "./dom.js";
import { counted, number, size } from "./format.js";
import { inWords } from "./selection.js";
import { verify } from "./verification.js";
import { Damaged } from "./zip.js";

/** @typedef {import("./verification.js").Verification} Verification */

const MOST_NAMED = 100;

/** @returns {import("./main.js").Page} */
export function verifyPage() {
  const results = resultsRegion();
  let running = new AbortController();
  const input = h("input", {
    id: "archive",
    type: "file",
    accept: ".zip",
    change: () => start(),
    click: () => forget(),
  });

  /** Else the browser would not report that the same file was chosen again. */
  function forget() {
    input.value = "";
  }

  async function start() {
    const file = input.files?.[0];
    running.abort();
    running = new AbortController();
    if (file) await check(file, results, running.signal);
  }

  return {
    title: "Verify an archive",
    results,
    element: h(
      "div",
      {},
      h("h1", {}, "Verify an archive"),
      h("p", {}, "Choose an archive that was taken with a manifest. It is read here in the browser, and sent nowhere."),
      h("p", {}, h("label", { for: "archive" }, "Archive"), input),
      results,
    ),
    async update() {},
  };
}

/** @param {File} file @param {HTMLElement} results @param {AbortSignal} signal */
async function check(file, results, signal) {
  const progress = h("progress", { max: file.size, "aria-label": "Bytes read" });
  results.replaceChildren(h("p", { role: "status" }, "Reading…"), progress);
  try {
    const found = await verify(file, (done) => progress.setAttribute("value", String(done)), signal);
    results.replaceChildren(verdict(file.name, found));
  } catch (error) {
    if (signal.aborted) return;
    const reason = error instanceof Damaged || error instanceof SyntaxError ? error.message : "It cannot be read.";
    results.replaceChildren(notWhole(file.name, [reason]));
  }
}

/** @param {string} name @param {Verification} found */
function verdict(name, found) {
  if (found.differences.length > 0) return notWhole(name, found.differences);
  return h(
    "section",
    { class: "whole", role: "status" },
    h("h2", {}, untrusted(name), " is whole."),
    h(
      "p",
      {},
      `${counted(found.files, "session", "sessions")}, ${size(found.bytes)}, each with the size and SHA-256 that the manifest lists.`,
    ),
    h("p", {}, "Asked for: ", untrusted(askedFor(found)), "."),
    !("session_file" in found.selection) && // a list is not asked for by names
      h("p", {}, h("a", { href: listHref(found) }, "What the service finds for this now")),
    found.skipped.length > 0 &&
      namedList(
        "Left out by the service:",
        found.skipped.map((file) => `${file.name}: ${file.reason}`),
      ),
    found.stillWritten.length > 0 && namedList("Still being written when they were taken:", found.stillWritten),
  );
}

/** @param {string} name @param {string[]} reasons */
function notWhole(name, reasons) {
  return h(
    "section",
    { class: "problem", role: "alert" },
    h("h2", {}, untrusted(name), " is not proved whole."),
    namedList("", reasons),
  );
}

/** @param {string} title @param {string[]} sentences */
function namedList(title, sentences) {
  const more = sentences.length - MOST_NAMED;
  const items = sentences.slice(0, MOST_NAMED).map((sentence) => h("li", {}, untrusted(sentence)));
  return h(
    "div",
    {},
    title && h("p", {}, title),
    h("ul", {}, items, more > 0 && h("li", {}, `and ${number(more)} more`)),
  );
}

/** What was asked for, in words. @param {Verification} found */
function askedFor(found) {
  const query = queryOf(found);
  const named = found.owner === null ? query.getAll("user_id") : [found.owner];
  const whose = named.length > 0 ? named.join(", ") : "all users";
  return `${inWords(query)}, of ${whose}${found.owner === null ? `, found of ${number(found.users)}` : ""}`;
}

/** The list of the same selection. @param {Verification} found */
function listHref(found) {
  return href(found.owner === null ? ["sessions"] : ["users", found.owner], queryOf(found));
}

/** The selection as the parameters of the API. @param {Verification} found */
function queryOf({ selection }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(selection))
    for (const item of [value].flat()) query.append(name, String(item));
  return query;
}
