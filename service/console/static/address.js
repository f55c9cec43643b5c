// What the page shows, as the part of the address behind "#". Browsers never send that part, so no server's log has it,
// and a link shows a colleague the same.

/** @typedef {{path: string[], query: URLSearchParams}} Address */

/**
 * The address that is shown now; its path is empty where it cannot be read.
 * @returns {Address}
 */
export function readAddress() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  try {
    return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
  } catch {
    return { path: [], query: new URLSearchParams() };
  }
}

/**
 * A link to such an address.
 * @param {string[]} path
 * @param {URLSearchParams | Record<string, string>} [query]
 */
export function href(path, query = {}) {
  const text = new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/** Go there, with an entry of its own in the history. @param {string} target */
export function go(target) {
  if (target !== location.hash) location.hash = target;
}

/**
 * The same entry of the history shows this from now on; nothing is loaded.
 * @param {string} target
 */
export function replaceAddress(target) {
  history.replaceState(history.state, "", target);
}

/**
 * A copy of the query with these changes; an empty value takes the parameter away.
 * @param {URLSearchParams} query
 * @param {Record<string, string | string[]>} changes
 */
export function changed(query, changes) {
  const result = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    result.delete(name);
    for (const item of [value].flat()) if (item !== "") result.append(name, item);
  }
  return result;
}
