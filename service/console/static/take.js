// Taking sessions: how much it is, then a link that expires, through which the browser's own download runs.

import { changed, href } from "./address.js";
import { apiPath, ask, Problem, send } from "./api.js";
import { h, untrusted } from "./dom.js";
import { choice } from "./fields.js";
import { counted, moment, number, size } from "./format.js";
import { problemPanel } from "./problem.js";

/** @typedef {import("./api.js").Session} Session */
/**
 * Something to download, as a path of the API. `manifest` says whether the archive has one always, as the reader
 * chooses, or is no archive at all.
 * @typedef {{path: string, query: URLSearchParams, label: string, manifest: "always" | "choice" | "none"}} Download
 * @typedef {{title: string, downloads: Download[], known?: {files: number, bytes: number}}} Take
 */

/**
 * All that a selection finds, as one archive.
 * @param {string | null} user
 * @param {URLSearchParams} selection
 * @param {string} words
 * @returns {Take}
 */
export function wholeSelection(user, selection, words) {
  const path = user === null ? apiPath("sessions", "download-all") : apiPath("users", user, "sessions", "download-all");
  const manifest = user === null ? "always" : "choice";
  return { title: `Take ${words}`, downloads: [{ path, query: selection, label: user ?? "all users", manifest }] };
}

/**
 * The ticked sessions, as one archive for each user: file names select sessions of one user only, and at most 200.
 * @param {Session[]} rows
 * @param {string | null} user whose they all are; null where each row says so
 * @returns {Take}
 */
export function ticked(rows, user) {
  const owners = Map.groupBy(rows, (row) => user ?? row.user_id ?? "");
  /** @type {Download[]} */
  const downloads = [];
  for (const [owner, own] of owners) {
    for (let begin = 0; begin < own.length; begin += MOST_NAMED) {
      const names = own.slice(begin, begin + MOST_NAMED).map((row) => ["session_file", row.session_file]);
      const part = own.length > MOST_NAMED ? `, from session ${begin + 1} on` : "";
      const path = apiPath("users", owner, "sessions", "download-all");
      downloads.push({ path, query: new URLSearchParams(names), label: `${owner}${part}`, manifest: "choice" });
    }
  }
  const bytes = rows.reduce((sum, row) => sum + (row.size_bytes ?? 0), 0);
  const title = `Take ${counted(rows.length, "ticked session", "ticked sessions")}`;
  return { title, downloads, known: { files: rows.length, bytes } };
}

/**
 * One session, as it is.
 * @param {string} user
 * @param {string} file
 * @param {number} bytes
 * @returns {Take}
 */
export function oneSession(user, file, bytes) {
  const path = apiPath("users", user, "sessions", file, "download");
  const downloads = [{ path, query: new URLSearchParams(), label: file, manifest: /** @type {const} */ ("none") }];
  return { title: `Take ${file}`, downloads, known: { files: 1, bytes } };
}

const MOST_NAMED = 200; // sessions that the API selects by name

/** @type {[value: string, label: string][]} */
const COMPRESSIONS = [
  ["", "As the service is set"],
  ["fast", "Fast"],
  ["small", "Small: slower, about a tenth smaller"],
  ["store", "None"],
];
/** @type {[value: string, label: string][]} */
const LIFETIMES = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
];

/** @param {Take} take */
export function openTake(take) {
  const dialog = new TakeDialog(take);
  document.body.append(dialog.element);
  dialog.element.showModal();
  dialog.measure();
}

class TakeDialog {
  /** @param {Take} take */
  constructor(take) {
    this.take = take;
    this.isArchive = take.downloads.some(({ manifest }) => manifest !== "none");
    this.leaving = new AbortController();
    this.amount = h("p", { role: "status" }, "Counting…");
    this.outcome = h("div");
    this.compression = choice("compression", COMPRESSIONS);
    this.lifetime = choice("lifetime", LIFETIMES);
    this.lifetime.value = "3600";
    this.manifest = h("input", { id: "manifest", type: "checkbox" });
    this.manifest.checked = true;
    this.manifest.disabled = take.downloads.every(({ manifest }) => manifest === "always");
    const several = take.downloads.length > 1 && number(take.downloads.length);
    this.start = h(
      "button",
      { type: "submit", class: "primary" },
      several ? `Make links to ${several} archives` : "Download",
    );
    this.element = h(
      "dialog",
      { "aria-labelledby": "take-title", close: () => this.leave() },
      h("h2", { id: "take-title" }, untrusted(take.title)),
      this.amount,
      several && h("p", {}, `They come as ${several} archives: each has sessions of one user, ${MOST_NAMED} at most.`),
      h("form", { submit: (event) => this.submit(event) }, this.choices(), this.buttons()),
      this.outcome,
    );
  }

  verifyLink() {
    const link = h("a", { href: href(["verify"]), click: () => this.element.close() }, "Verify the archive");
    return h("p", {}, "When it is there: ", link);
  }

  choices() {
    const lifetime = h("p", {}, h("label", { for: "lifetime" }, "The link is good for"), this.lifetime);
    if (!this.isArchive) return lifetime;
    return h(
      "div",
      {},
      h("p", {}, h("label", { for: "compression" }, "Compression"), this.compression),
      h(
        "p",
        { class: "check" },
        this.manifest,
        h("label", { for: "manifest" }, "With a manifest, which proves that the archive is whole"),
      ),
      lifetime,
    );
  }

  buttons() {
    return h(
      "p",
      { class: "taking" },
      this.start,
      h("button", { type: "button", click: () => this.element.close() }, "Close"),
    );
  }

  leave() {
    this.leaving.abort();
    this.element.remove();
  }

  /** How many files and bytes the archives will hold. */
  async measure() {
    await this.attempt(async () => {
      const { files, bytes } = this.take.known ?? (await countDownloads(this.take.downloads, this.leaving.signal));
      this.amount.replaceChildren(
        h("strong", {}, counted(files, "file", "files"), ", ", size(bytes)),
        " before compression",
      );
    });
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    this.start.disabled = true;
    await this.attempt(async () => {
      const links = await Promise.all(this.take.downloads.map((download) => this.link(download)));
      const single = links.length === 1;
      this.outcome.replaceChildren(
        h("p", { role: "status" }, single ? "The browser downloads it now." : "Click each to download it:"),
        h(
          "ul",
          {},
          links.map(({ url, label, until }) => linkItem(url, label, until)),
        ),
        ...(this.isArchive && this.manifest.checked ? [this.verifyLink()] : []),
      );
      if (single) this.outcome.querySelector("a")?.click();
    });
    this.start.disabled = false;
  }

  /** @param {Download} download */
  async link({ path, query, label, manifest }) {
    const chosen = changed(query, {
      compression: manifest === "none" ? "" : this.compression.value,
      manifest: manifest === "choice" && this.manifest.checked ? "true" : "",
    }).toString();
    const body = { path: `/${path}${chosen && `?${chosen}`}`, expires_in: Number(this.lifetime.value) };
    const made = await ask(apiPath("links"), {}, { method: "POST", body, signal: this.leaving.signal });
    const inside = made.url.slice(made.url.indexOf("api/links/"));
    return { url: new URL(inside, document.baseURI).href, label, until: made.expires_at };
  }

  /** @param {() => Promise<void>} work */
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      if (this.leaving.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.amount.replaceChildren();
      this.outcome.replaceChildren(problemPanel(error, () => this.attempt(work)));
    }
  }
}

/**
 * The sums of what a HEAD of each archive announces.
 * @param {Download[]} downloads
 * @param {AbortSignal} signal
 */
async function countDownloads(downloads, signal) {
  const heads = await Promise.all(downloads.map(({ path, query }) => send(path, query, { method: "HEAD", signal })));
  const sum = (/** @type {string} */ name) => heads.reduce((all, { headers }) => all + Number(headers.get(name)), 0);
  return { files: sum("X-Export-Files"), bytes: sum("X-Export-Bytes") };
}

/** @param {string} url @param {string} label @param {string} until */
function linkItem(url, label, until) {
  const copied = h("span", { role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(url);
    copied.replaceChildren(" copied");
  };
  const button = navigator.clipboard && h("button", { type: "button", click: copy }, "Copy the link");
  return h(
    "li",
    {},
    h("a", { href: url, download: "" }, untrusted(label)),
    " good until ",
    moment(until),
    " ",
    button,
    copied,
  );
}
