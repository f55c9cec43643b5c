// Calls of the service's public API, relative to this page, so that a path prefix of a proxy needs no setting.

/**
 * A session of a list.
 * @typedef {{session_file: string, session_id: string, user_id?: string, email?: string, started_at: string | null,
 *   ended_at: string | null, active_seconds: number | null, wall_seconds: number | null, tool_calls: number | null,
 *   tool_errors: number | null, primary_model: string | null, processed: boolean, size_bytes: number | null,
 *   available: boolean, title: string | null, project: string | null, models: string[]}} Session
 * @typedef {{user_id: string, email: string, name: string | null, active: boolean, sessions: number,
 *   size_bytes: number, last_session_at: string | null}} User
 * @typedef {{directory: string, sessions: number, size_bytes: number, last_session_at: string | null}} Directory
 * @typedef {{id: string, timestamp: string, user_id: string | null, action: string, resource: string | null,
 *   params: Record<string, unknown> | null, result: string | null, duration_ms: number | null,
 *   client_ip: string | null, client_kind: string | null, correlation_id: string | null}} AuditRow
 * @typedef {{offset: number, length: number, value?: unknown, text?: string, cut?: boolean}} Line
 * @typedef {{lines: Line[], next: number | null, size: number}} Lines
 * @typedef {{user_id: string, name: string, via: string}} Caller
 */
/**
 * A page by offset, and one by cursor.
 * @template Row
 * @typedef {{rows: Row[], pagination: {limit: number, offset: number, total: number}}} OffsetPage
 */
/**
 * @template Row
 * @typedef {{rows: Row[], next: string | null, total: number}} CursorPage
 */
/** @typedef {{method?: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} Options */

const TOKEN = "session-export-token";
export const NO_ANSWER = 0;
export const REDIRECTED = 302;

/** An answer that is an error, or none at all (`status` 0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} detail one plain sentence
   * @param {{requestId?: string | null, retryAfter?: string | null}} [more]
   */
  constructor(status, detail, more = {}) {
    super(detail);
    this.status = status;
    this.requestId = more.requestId ?? null;
    this.retryAfter = more.retryAfter ?? null;
  }
}

/** Kept for the tab's life, and nowhere else. */
export const token = {
  read: () => sessionStorage.getItem(TOKEN),
  /** @param {string} value */
  keep: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/**
 * The API's path of these segments, such as `api/admin/users/u-1/sessions`.
 * @param {...string} segments
 */
export function apiPath(...segments) {
  if (segments.some((segment) => segment === "." || segment === ".."))
    throw new Problem(404, "A browser cannot ask for this name: it takes it for a relative path.");
  return `api/admin/${segments.map(encodeURIComponent).join("/")}`;
}

/**
 * The JSON that the API answers. Raises Problem.
 * @param {string} path
 * @param {URLSearchParams | Record<string, string>} [query]
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, query = {}, options = {}) {
  const response = await send(path, query, options);
  return await received(response.json());
}

/**
 * A successful response. Raises Problem.
 * @param {string} path
 * @param {URLSearchParams | Record<string, string>} [query]
 * @param {Options} [options]
 */
export async function send(path, query = {}, { method = "GET", body, headers = {}, signal } = {}) {
  const url = new URL(path, document.baseURI);
  url.search = new URLSearchParams(query).toString();
  const kept = token.read();
  /** @type {Record<string, string>} */
  const all = { ...headers, ...(kept ? { Authorization: `Bearer ${kept}` } : {}) };
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  if (body !== undefined) all["Content-Type"] = "application/json";
  const response = await received(
    fetch(url, { method, headers: all, signal, cache: "no-store", redirect: "manual", ...content }),
  );
  if (response.type === "opaqueredirect")
    throw new Problem(REDIRECTED, "The proxy before the service asks you to sign in.");
  if (!response.ok) throw await problemOf(response);
  return response;
}

/**
 * @template T
 * @param {Promise<T>} answer
 */
async function received(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(NO_ANSWER, "The service does not answer.");
  }
}

/** @param {Response} response */
async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const errors = /** @type {{loc: string[], msg: string}[]} */ (problem.errors ?? []);
  const wrong = errors.map((error) => ` ${error.loc.slice(1).join(".")}: ${error.msg}.`).join("");
  return new Problem(response.status, `${problem.detail ?? `The answer was ${response.status}.`}${wrong}`, {
    requestId: response.headers.get("X-Request-ID"),
    retryAfter: response.headers.get("Retry-After"),
  });
}
