// The form that takes a token. The token goes into sessionStorage, and with each call into its header; nowhere else.

import { token } from "./api.js";
import { h, untrusted } from "./dom.js";

/**
 * @param {string} reason why the last token is no good; empty at the first time
 * @param {() => void} signedIn called once a token was given
 */
export function signInForm(reason, signedIn) {
  const input = h("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-help",
  });
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    token.keep(input.value.trim());
    signedIn();
  }
  return h(
    "form",
    { class: "sign-in", submit },
    h("h1", {}, "Sign in"),
    reason && h("p", { class: "problem", role: "alert" }, untrusted(reason)),
    h("label", { for: "token" }, "Token"),
    input,
    h("p", { id: "token-help" }, "Whoever runs this service gives it to you. It is kept until this tab is closed."),
    h("button", { type: "submit", class: "primary" }, "Sign in"),
  );
}
