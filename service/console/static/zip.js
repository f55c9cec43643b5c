// The members of a ZIP file on the reader's own disk (APPNOTE 6.3), read in pieces: it may be larger than the memory.

/** @typedef {{name: string, method: number, compressed: number, size: number, offset: number}} Member */

const END = 0x06054b50; // section 4.3.16
const END64 = 0x06064b50; // section 4.3.14
const LOCATOR64 = 0x07064b50; // section 4.3.15
const ENTRY = 0x02014b50; // section 4.3.12
const LOCAL = 0x04034b50; // section 4.3.7
const LONGEST_COMMENT = 65_535;
const IN_ZIP64 = 0xffffffff;
const UTF8 = new TextDecoder();

/** The file is no ZIP file, or not a whole one. */
export class Damaged extends Error {}

/** @param {Blob} file @param {number} begin @param {number} end */
async function viewOf(file, begin, end) {
  if (begin < 0 || end > file.size) throw new Damaged("The archive's directory leads out of the file.");
  return new DataView(await file.slice(begin, end).arrayBuffer());
}

/** @param {DataView} view @param {number} at */
function long(view, at) {
  return Number(view.getBigUint64(at, true));
}

/**
 * The members in the order of the directory. Raises Damaged.
 * @param {Blob} file
 */
export async function readDirectory(file) {
  const { count, begin, size } = await findDirectory(file);
  const view = await viewOf(file, begin, begin + size);
  /** @type {Member[]} */
  const members = [];
  for (let at = 0; members.length < count; ) {
    if (at + 46 > size || view.getUint32(at, true) !== ENTRY) throw new Damaged("The archive's directory is damaged.");
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    if (at + 46 + name + extra + comment > size) throw new Damaged("The archive's directory is damaged.");
    members.push(memberAt(view, at, name, extra));
    at += 46 + name + extra + comment;
  }
  return members;
}

/** Where the directory lies, from the records at the file's end. @param {Blob} file */
async function findDirectory(file) {
  const begin = Math.max(file.size - 22 - LONGEST_COMMENT, 0);
  const view = await viewOf(file, begin, file.size);
  let at = view.byteLength - 22;
  while (at >= 0 && view.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw new Damaged("This is no whole ZIP file: its end is missing.");
  if (at >= 20 && view.getUint32(at - 20, true) === LOCATOR64) {
    const place = long(view, at - 12);
    const end = await viewOf(file, place, place + 56);
    if (end.getUint32(0, true) !== END64) throw new Damaged("The archive's end records are damaged.");
    return { count: long(end, 32), size: long(end, 40), begin: long(end, 48) };
  }
  return {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    begin: view.getUint32(at + 16, true),
  };
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} name its length
 * @param {number} extra its length
 * @returns {Member}
 */
function memberAt(view, at, name, extra) {
  const wide = zip64Field(view, at + 46 + name, extra);
  const [size, compressed, offset] = [24, 20, 42].map((place) => {
    const value = view.getUint32(at + place, true);
    return value === IN_ZIP64 ? wide() : value;
  });
  const bytes = new Uint8Array(view.buffer, at + 46, name);
  return { name: UTF8.decode(bytes), method: view.getUint16(at + 10, true), size, compressed, offset };
}

/**
 * The numbers of the ZIP64 extra field, one after the other (section 4.5.3).
 * @param {DataView} view
 * @param {number} begin
 * @param {number} length
 */
function zip64Field(view, begin, length) {
  let at = begin;
  while (at < begin + length && view.getUint16(at, true) !== 1) at += 4 + view.getUint16(at + 2, true);
  at += 4;
  return () => {
    if (at + 8 > begin + length) throw new Damaged("The archive's directory is damaged.");
    at += 8;
    return long(view, at - 8);
  };
}

/**
 * What a member holds, decompressed, piece by piece. Raises Damaged.
 * @param {Blob} file
 * @param {Member} member
 * @returns {AsyncGenerator<Uint8Array>}
 */
export async function* contentOf(file, member) {
  const head = await viewOf(file, member.offset, member.offset + 30);
  if (head.getUint32(0, true) !== LOCAL) throw new Damaged(`${member.name}: its beginning is damaged.`);
  const begin = member.offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const raw = file.slice(begin, begin + member.compressed).stream();
  if (member.method !== 0 && member.method !== 8) throw new Damaged(`${member.name}: is compressed in an unknown way.`);
  const reader = (member.method === 8 ? raw.pipeThrough(new DecompressionStream("deflate-raw")) : raw).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } catch (error) {
    if (error instanceof TypeError) throw new Damaged(`${member.name}: is damaged.`);
    throw error;
  }
}
