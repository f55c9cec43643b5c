// An archive compared with its manifest: whether it holds all that was asked for, and every file as it was sent.

import { Sha256 } from "./sha256.js";
import { contentOf, Damaged, readDirectory } from "./zip.js";

/** @typedef {import("./zip.js").Member} Member */
/** @typedef {{size: number, sha256: string}} Held what the archive holds under a name */
/**
 * `selection` is what was asked for, of the user `owner` or of all (null); `differences` and `stillWritten` are sentences, empty when all is well.
 * @typedef {{selection: Record<string, unknown>, owner: string | null, files: number, bytes: number, users: number,
 *   skipped: {name: string, reason: string}[], stillWritten: string[], differences: string[]}} Verification
 */

const MANIFEST = "_manifest.json";
const MEMBERS = "_members.jsonl";
const RESULT = "_result.json";
const FORMAT = 1;

/**
 * Read the archive from the beginning to the end. Raises Damaged.
 * @param {Blob} file
 * @param {(done: number) => void} progress gets the bytes read so far
 * @param {AbortSignal} signal
 * @returns {Promise<Verification>}
 */
export async function verify(file, progress, signal) {
  const members = await readDirectory(file);
  const last = members.length - 1;
  if (
    last < 2 ||
    [members[0], members[last - 1], members[last]].some(({ name }, at) => name !== [MANIFEST, MEMBERS, RESULT][at])
  )
    throw new Damaged("This archive has no manifest, so nothing proves what it should hold.");
  const manifest = await jsonOf(file, members[0]);
  const result = await jsonOf(file, members[last]);
  if (manifest.format !== FORMAT || result.format !== FORMAT || result.complete !== true)
    throw new Damaged("The archive is not complete by its own result.");
  const held = await digests(file, members.slice(1, last - 1), progress, signal);
  const listed = await compare(file, members[last - 1], held);
  if (listed.sha256 !== result.members_sha256 || listed.files !== result.files || listed.bytes !== result.bytes)
    throw new Damaged("The list of members is not the one that the result describes.");
  return {
    selection: manifest.selection,
    files: listed.files,
    bytes: listed.bytes,
    owner: manifest.users[0]?.folder === "" ? manifest.users[0].user_id : null, // else each user has a folder
    users: manifest.users.length,
    skipped: result.skipped,
    stillWritten: listed.stillWritten,
    differences: [...listed.differences, ...[...held.keys()].map((name) => `${name} is not in the list.`)],
  };
}

/** @param {Blob} file @param {Member} member */
async function jsonOf(file, member) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of contentOf(file, member)) text += decoder.decode(part, { stream: true });
  try {
    return JSON.parse(text);
  } catch {
    throw new Damaged(`${member.name}: is damaged.`);
  }
}

/**
 * @param {Blob} file
 * @param {Member[]} members
 * @param {(done: number) => void} progress
 * @param {AbortSignal} signal
 */
async function digests(file, members, progress, signal) {
  /** @type {Map<string, Held>} */
  const held = new Map();
  for (const member of members) {
    signal.throwIfAborted();
    if (held.has(member.name)) throw new Damaged(`${member.name}: is there twice.`);
    const hash = new Sha256();
    for await (const part of contentOf(file, member)) hash.update(part);
    held.set(member.name, { size: hash.length, sha256: hash.hex() });
    progress(member.offset + member.compressed);
  }
  return held;
}

/**
 * Each line of the list against what is held; what is listed leaves `held`.
 * @param {Blob} file
 * @param {Member} member
 * @param {Map<string, Held>} held
 */
async function compare(file, member, held) {
  const hash = new Sha256();
  const decoder = new TextDecoder();
  const found = {
    files: 0,
    bytes: 0,
    sha256: "",
    differences: /** @type {string[]} */ ([]),
    stillWritten: /** @type {string[]} */ ([]),
  };
  let rest = "";
  for await (const part of contentOf(file, member)) {
    hash.update(part);
    const lines = (rest + decoder.decode(part, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) compareLine(line, held, found);
  }
  if (rest) throw new Damaged("The list of members is cut short.");
  return { ...found, sha256: hash.hex() };
}

/**
 * @param {string} line
 * @param {Map<string, Held>} held
 * @param {{files: number, bytes: number, differences: string[], stillWritten: string[]}} found
 */
function compareLine(line, held, found) {
  const { name, size, sha256, still_written: stillWritten } = JSON.parse(line);
  const own = held.get(name);
  held.delete(name);
  found.files += 1;
  found.bytes += size;
  if (stillWritten) found.stillWritten.push(name);
  if (!own) found.differences.push(`${name} is missing.`);
  else if (own.size !== size || own.sha256 !== sha256) found.differences.push(`${name} is not as it was sent.`);
}
