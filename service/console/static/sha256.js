// SHA-256 (FIPS 180-4) piece by piece. The browser's own digest takes a whole file at once, and is not there without TLS.

const K = new Int32Array(64);
const START = new Int32Array(8);

/** The first 32 bits of the fraction of a number. @param {number} value */
function fraction(value) {
  return ((value - Math.floor(value)) * 2 ** 32) | 0;
}

for (let candidate = 2, found = 0; found < 64; candidate += 1) {
  let prime = true;
  for (let factor = 2; factor * factor <= candidate; factor += 1) prime &&= candidate % factor !== 0;
  if (!prime) continue;
  if (found < 8) START[found] = fraction(Math.sqrt(candidate));
  K[found] = fraction(Math.cbrt(candidate));
  found += 1;
}

export class Sha256 {
  constructor() {
    this.state = new Int32Array(START);
    this.words = new Int32Array(64);
    this.block = new Uint8Array(64);
    this.view = new DataView(this.block.buffer);
    this.filled = 0; // bytes in the block
    this.length = 0; // bytes in all
  }

  /** @param {Uint8Array} bytes */
  update(bytes) {
    this.length += bytes.length;
    const missing = this.filled === 0 ? 0 : Math.min(64 - this.filled, bytes.length);
    this.keep(bytes.subarray(0, missing));
    const whole = bytes.length - ((bytes.length - missing) % 64);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = missing; at < whole; at += 64) this.mix(view, at);
    this.keep(bytes.subarray(whole));
  }

  /** @param {Uint8Array} bytes which fit into the block */
  keep(bytes) {
    this.block.set(bytes, this.filled);
    this.filled += bytes.length;
    if (this.filled === 64) this.mixBlock();
  }

  mixBlock() {
    this.mix(this.view, 0);
    this.filled = 0;
  }

  /** The digest of all bytes so far, after which no more can come. */
  hex() {
    const bits = this.length * 8;
    this.update(Uint8Array.of(0x80));
    if (this.filled > 56) {
      this.block.fill(0, this.filled);
      this.mixBlock();
    }
    this.block.fill(0, this.filled);
    this.view.setUint32(56, Math.floor(bits / 2 ** 32));
    this.view.setUint32(60, bits >>> 0);
    this.mixBlock();
    return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Section 6.2.2. @param {DataView} view @param {number} at */
  mix(view, at) {
    const { words, state } = this;
    for (let i = 0; i < 16; i += 1) words[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i += 1) {
      const x = words[i - 15];
      const y = words[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
    }
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < 64; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}
