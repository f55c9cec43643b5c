// What went wrong, in words for the reader, and what they can do.

import { NO_ANSWER, Problem, REDIRECTED } from "./api.js";
import { h, untrusted } from "./dom.js";

/** @type {Record<number, string>} */
const TITLES = {
  [NO_ANSWER]: "No answer",
  [REDIRECTED]: "Not signed in",
  403: "Not allowed",
  404: "Not found",
  422: "The filter is not valid",
  503: "Busy",
};

/**
 * @param {unknown} error
 * @param {() => void} retry
 */
export function problemPanel(error, retry) {
  if (!(error instanceof Problem)) throw error;
  const wait = error.retryAfter && ` It asks to be tried again in ${error.retryAfter} seconds.`;
  const advice = {
    [NO_ANSWER]: "The service may be restarting, or the network is down.",
    [REDIRECTED]: "Reload this page to sign in there. Its address brings you back here.",
    403: "The service knows you, but you are not an admin. Ask its operators for access.",
  }[error.status];
  return h(
    "section",
    { class: "problem", role: "alert" },
    h("h2", {}, TITLES[error.status] ?? "That did not work"),
    h("p", {}, untrusted(error.message), wait),
    advice && h("p", {}, advice),
    error.requestId && h("p", {}, h("small", {}, "Request ", untrusted(error.requestId))),
    h("button", { type: "button", click: retry }, "Try again"),
  );
}
