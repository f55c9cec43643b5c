// The form that takes a token. The token goes into sessionStorage, and with each call into its header; nowhere else.

import { token } from "./api.js";
import { h } from "./dom.js";

/**
 * @param {boolean} wasRejected whether the service has rejected the last token
 * @param {() => void} signedIn called once a token was given
 */
export function signInForm(wasRejected, signedIn) {
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
    wasRejected &&
      h(
        "p",
        { class: "problem", role: "alert" },
        "The service does not accept this token. It is wrong, or has expired.",
      ),
    h("label", { for: "token" }, "Token"),
    input,
    h(
      "p",
      { id: "token-help" },
      "The operators of this service give you a token. This page keeps it until the tab is closed.",
    ),
    h("button", { type: "submit", class: "primary" }, "Sign in"),
  );
}
