// The frame around the pages: which page an address shows, who is signed in, and what to do when the API refuses.

import { href, readAddress } from "./address.js";
import { apiPath, ask, Problem, token } from "./api.js";
import { auditPage } from "./audit.js";
import { h, untrusted } from "./dom.js";
import { problemPanel } from "./problem.js";
import { sessionPage } from "./session.js";
import { sessionsPage } from "./sessions.js";
import { signInForm } from "./signin.js";
import { unassignedPage, usersPage } from "./users.js";
import { verifyPage } from "./verify.js";

/** @typedef {import("./address.js").Address} Address */
/**
 * A page: made at once, filled by `update`, which also follows when its address changes within the page.
 * @typedef {{title: string, element: HTMLElement, results: HTMLElement,
 *   update: (address: Address, signal: AbortSignal) => Promise<void>}} Page
 */

const MENU = [
  { label: "Users", path: ["users"] },
  { label: "Sessions", path: ["sessions"] },
  { label: "Who took what", path: ["audit"] },
  { label: "Verify", path: ["verify"] },
];
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const shown = { path: "", page: /** @type {Page | null} */ (null), running: new AbortController(), signedIn: false };

/** @param {string[]} path @returns {Page | null} */
function pageOf(path) {
  const [first, user, third, file, rest] = path;
  if (path.length === 0 || (first === "users" && !user)) return usersPage(refresh);
  if (first === "users" && user && !third) return sessionsPage(user, refresh);
  if (first === "users" && user && third === "sessions" && file && !rest) return sessionPage(user, file, refresh);
  if (path.length > 1) return null;
  if (first === "sessions") return sessionsPage(null, refresh);
  if (first === "audit") return auditPage();
  if (first === "unassigned") return unassignedPage();
  if (first === "verify") return verifyPage();
  return null;
}

/**
 * Show what the address says. `position` is how far down the reader was when they left this entry of the history.
 * @param {number | null} position
 */
async function show(position) {
  const address = readAddress();
  const path = href(address.path);
  shown.running.abort();
  shown.running = new AbortController();
  const signal = shown.running.signal;
  const fresh = shown.path !== path;
  if (fresh) replacePage(path, pageOf(address.path));
  if (shown.page === null) return;
  await fill(shown.page, address, signal);
  if (!signal.aborted) restorePosition(shown.page.results, fresh ? (position ?? 0) : position);
}

/** Show the address again after the page itself has replaced it. */
function refresh() {
  show(window.scrollY);
}

/**
 * Where the reader is after new results came: where they were, or at the results' top where that is out of sight.
 * @param {HTMLElement} results
 * @param {number | null} position
 */
function restorePosition(results, position) {
  if (document.activeElement === document.body) results.focus({ preventScroll: true });
  results.classList.toggle("measured", position !== null && position > 0); // rows out of sight have a height as well
  if (position !== null) window.scrollTo(0, position);
  else if (results.getBoundingClientRect().top < 0) results.scrollIntoView();
}

/** @param {string} path @param {Page | null} page */
function replacePage(path, page) {
  const first = shown.path === "";
  shown.path = path;
  shown.page = page;
  markMenu(path);
  document.title = `${page ? page.title : "No such page"} – Session Export`;
  main.replaceChildren(page ? page.element : h("h1", {}, "No such page"));
  if (!first) main.focus({ preventScroll: true });
}

/**
 * @param {Page} page
 * @param {Address} address
 * @param {AbortSignal} signal
 */
async function fill(page, address, signal) {
  page.results.setAttribute("aria-busy", "true");
  try {
    await page.update(address, signal);
    page.results.removeAttribute("aria-busy");
  } catch (error) {
    if (signal.aborted) return;
    page.results.removeAttribute("aria-busy");
    if (error instanceof Problem && error.status === 401) return signIn(token.read() !== null);
    page.results.replaceChildren(problemPanel(error, refresh));
  }
}

/** @param {string} path */
function markMenu(path) {
  const items = MENU.map(({ label, path: target }) =>
    h(
      "a",
      {
        href: href(target),
        "aria-current": path === href(target) ? "page" : path.startsWith(`${href(target)}/`) && "true",
      },
      label,
    ),
  );
  /** @type {HTMLElement} */ (document.getElementById("pages")).replaceChildren(...items);
}

/** @param {boolean} wasRejected whether the service has rejected the token so far */
function signIn(wasRejected) {
  token.forget();
  shown.running.abort();
  Object.assign(shown, { path: "", page: null, signedIn: false });
  document.title = "Sign in – Session Export";
  showCaller(null);
  /** @type {HTMLElement} */ (document.getElementById("pages")).replaceChildren();
  main.replaceChildren(signInForm(wasRejected, start));
  main.querySelector("input")?.focus();
}

/** @param {import("./api.js").Caller | null} me */
function showCaller(me) {
  const corner = /** @type {HTMLElement} */ (document.getElementById("caller"));
  if (me === null) return corner.replaceChildren();
  const leave = h("button", { type: "button", click: () => signIn(false) }, "Sign out");
  const name = h("span", { title: `Signed in by ${me.via} ${me.name}` }, untrusted(me.user_id));
  corner.replaceChildren(name, ...(token.read() ? [leave] : []));
}

async function start() {
  main.setAttribute("aria-busy", "true");
  try {
    showCaller(await ask(apiPath("me")));
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return signIn(token.read() !== null);
    const again = h("button", { type: "button", click: () => signIn(false) }, "Sign in as somebody else");
    return main.replaceChildren(problemPanel(error, start), ...(token.read() ? [again] : []));
  } finally {
    main.removeAttribute("aria-busy");
  }
  shown.signedIn = true;
  await show(history.state?.position ?? null);
}

function rememberPosition() {
  history.replaceState({ ...history.state, position: window.scrollY }, "");
}

let scrollTimer = 0;
window.addEventListener("scroll", () => {
  clearTimeout(scrollTimer);
  scrollTimer = window.setTimeout(rememberPosition, 150);
});
window.addEventListener("popstate", (event) => {
  clearTimeout(scrollTimer);
  if (shown.signedIn) show(event.state?.position ?? null);
});
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the address behind "#" says which page is shown
  main.focus();
});
history.scrollRestoration = "manual";
if (!location.hash) history.replaceState(null, "", href(["users"]));
start();
