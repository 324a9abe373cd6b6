/**
 * QR codes (ISO/IEC 18004:2015, model 2), as much of it as a login link needs: byte mode; error correction level M in
 * versions 1 to 10, that is up to 213 bytes; level L in versions 11 to 20, up to 858 bytes, so that the modules of longer
 * links, which hold another address, stay as large as they can be.
 *
 *   encode("tana://auth?…")       -> {size, version, mask, get(x, y)}
 *   draw(document, matrix, label) -> <svg>, one path, quiet zone included
 */

/**
 * Per version (index 0 is version 1): all codewords, error correction codewords per block, blocks. Table 9: level M as far
 * as version 10, then level L.
 */
const VERSIONS = [
  [26, 10, 1], [44, 16, 1], [70, 26, 1], [100, 18, 2], [134, 24, 2],
  [172, 16, 4], [196, 18, 4], [242, 22, 4], [292, 22, 5], [346, 26, 5],
  [404, 20, 4], [466, 24, 4], [532, 26, 4], [581, 30, 4], [655, 22, 6],
  [733, 24, 6], [815, 28, 6], [901, 30, 6], [991, 28, 7], [1085, 28, 8],
];
const LAST_OF_LEVEL_M = 10;

/** The most bytes that a link may have. */
export const LONGEST = 858;

/** Annex E: counted from the last, the centres of the alignment patterns are equally far apart; the first is always 6. */
const alignmentCentres = (version) => {
  if (version === 1) return [];
  const last = 4 * version + 10;
  const gaps = Math.floor(version / 7) + 1;
  const gap = 2 * Math.ceil((last - 6) / gaps / 2);
  return [6, ...Array.from({ length: gaps }, (_, i) => last - (gaps - 1 - i) * gap)];
};

/** The eight data masks of table 10; true inverts the module in column x, row y. */
const MASKS = [
  (x, y) => (x + y) % 2 === 0,
  (x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1 (clause 7.5.2). */
function multiply(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >>> 7) * 0x11d);
    product ^= ((b >>> bit) & 1) * a;
  }
  return product;
}

/** The generator polynomial's coefficients without the leading one, highest power first. */
function generator(degree) {
  const coefficients = new Uint8Array(degree);
  coefficients[degree - 1] = 1;
  for (let i = 0, root = 1; i < degree; i += 1, root = multiply(root, 2)) {
    for (let j = 0; j < degree; j += 1) {
      coefficients[j] = multiply(coefficients[j], root) ^ (coefficients[j + 1] ?? 0);
    }
  }
  return coefficients;
}

/** The remainder of the data polynomial: the block's error correction codewords. */
function reedSolomon(data, divisor) {
  const remainder = new Uint8Array(divisor.length);
  for (const byte of data) {
    const factor = byte ^ remainder[0];
    remainder.copyWithin(0, 1);
    remainder[divisor.length - 1] = 0;
    for (let i = 0; i < divisor.length; i += 1) remainder[i] ^= multiply(divisor[i], factor);
  }
  return remainder;
}

const dataCodewords = ([total, correction, blocks]) => total - correction * blocks;
const countBits = (version) => (version < 10 ? 8 : 16);

/** Mode 0100, the length, the bytes, the terminator 0000 (which completes the last byte), and padding (clause 7.4). */
function dataBytes(bytes, version) {
  const out = new Uint8Array(dataCodewords(VERSIONS[version - 1]));
  const head = countBits(version) === 8 ? [0x40 | (bytes.length >> 4)] : [0x40 | (bytes.length >> 12), (bytes.length >> 4) & 0xff];
  // After the four mode bits every byte lies across two codewords: its high half ends one, its low half begins the next.
  out.set(head);
  let at = head.length;
  let low = bytes.length & 0x0f;
  for (const byte of bytes) {
    out[at] = (low << 4) | (byte >> 4);
    low = byte & 0x0f;
    at += 1;
  }
  out[at] = low << 4;
  at += 1;
  for (let pad = 0xec; at < out.length; at += 1, pad ^= 0xec ^ 0x11) out[at] = pad;
  return out;
}

/** Split into blocks, add error correction, interleave (clause 7.6). Longer blocks come last. */
function codewords(bytes, version) {
  const [total, correction, count] = VERSIONS[version - 1];
  const data = dataBytes(bytes, version);
  const divisor = generator(correction);
  const short = Math.floor(data.length / count);
  const longFrom = count - (data.length % count);
  const blocks = [];
  for (let i = 0, at = 0; i < count; i += 1) {
    const length = short + (i >= longFrom ? 1 : 0);
    const block = data.subarray(at, at + length);
    blocks.push({ block, check: reedSolomon(block, divisor) });
    at += length;
  }
  const out = [];
  for (let i = 0; i <= short; i += 1) for (const { block } of blocks) if (i < block.length) out.push(block[i]);
  for (let i = 0; i < correction; i += 1) for (const { check } of blocks) out.push(check[i]);
  if (out.length !== total) throw new Error("the block table is inconsistent");
  return out;
}

/** A BCH code: `value` followed by the remainder of its division by `polynomial` (Annexes C and D). */
function withRemainder(value, polynomial, bits) {
  let remainder = value << bits;
  for (let i = 31 - Math.clz32(remainder); i >= bits; i -= 1) {
    if ((remainder >>> i) & 1) remainder ^= polynomial << (i - bits);
  }
  return (value << bits) | remainder;
}

/** The square of modules. `set` draws a function pattern and reserves the module; data fills what is not reserved. */
class Grid {
  constructor(version) {
    this.version = version;
    this.size = 17 + 4 * version;
    this.dark = new Uint8Array(this.size * this.size);
    this.reserved = new Uint8Array(this.size * this.size);
  }

  get(x, y) {
    return this.dark[y * this.size + x] === 1;
  }

  set(x, y, dark) {
    this.dark[y * this.size + x] = dark ? 1 : 0;
    this.reserved[y * this.size + x] = 1;
  }

  /** Concentric squares around a centre, clipped at the border: finder (with separator) and alignment patterns. */
  rings(centreX, centreY, radius, lightAt) {
    for (let y = Math.max(0, centreY - radius); y <= Math.min(this.size - 1, centreY + radius); y += 1) {
      for (let x = Math.max(0, centreX - radius); x <= Math.min(this.size - 1, centreX + radius); x += 1) {
        this.set(x, y, !lightAt.includes(Math.max(Math.abs(x - centreX), Math.abs(y - centreY))));
      }
    }
  }

  drawFunctionPatterns() {
    const far = this.size - 4;
    for (let i = 0; i < this.size; i += 1) {
      this.set(6, i, i % 2 === 0);
      this.set(i, 6, i % 2 === 0);
    }
    for (const [x, y] of [[3, 3], [far, 3], [3, far]]) this.rings(x, y, 4, [2, 4]);
    const centres = alignmentCentres(this.version);
    const last = centres.at(-1);
    for (const x of centres) {
      for (const y of centres) {
        const onFinder = (x === 6 && y === 6) || (x === 6 && y === last) || (x === last && y === 6);
        if (!onFinder) this.rings(x, y, 2, [1]);
      }
    }
    if (this.version >= 7) {
      const bits = withRemainder(this.version, 0x1f25, 12);
      for (let i = 0; i < 18; i += 1) {
        const near = Math.floor(i / 3);
        const away = this.size - 11 + (i % 3);
        this.set(near, away, (bits >>> i) & 1);
        this.set(away, near, (bits >>> i) & 1);
      }
    }
    this.drawFormat(0);
  }

  /** Two bits of the level, 00 for M and 01 for L, and the mask (clause 7.9). Twice, and the one module always dark. */
  drawFormat(mask) {
    const level = this.version > LAST_OF_LEVEL_M ? 1 : 0;
    const bits = withRemainder((level << 3) | mask, 0x537, 10) ^ 0x5412;
    const bit = (i) => (bits >>> i) & 1;
    for (let i = 0; i < 8; i += 1) this.set(this.size - 1 - i, 8, bit(i));
    for (let i = 8; i < 15; i += 1) this.set(8, this.size - 15 + i, bit(i));
    for (let i = 0; i < 6; i += 1) this.set(8, i, bit(i));
    this.set(8, 7, bit(6));
    this.set(8, 8, bit(7));
    this.set(7, 8, bit(8));
    for (let i = 9; i < 15; i += 1) this.set(14 - i, 8, bit(i));
    this.set(8, this.size - 8, 1);
  }

  /** Two columns at a time from the right, upwards and downwards in turn, past the timing column (clause 7.7.3). */
  drawData(bytes) {
    let bit = 0;
    for (let right = this.size - 1, upward = true; right > 0; right -= 2, upward = !upward) {
      if (right === 6) right = 5;
      for (let step = 0; step < this.size; step += 1) {
        const y = upward ? this.size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.reserved[y * this.size + x]) continue;
          if (bit < bytes.length * 8) this.dark[y * this.size + x] = (bytes[bit >> 3] >>> (7 - (bit & 7))) & 1;
          bit += 1;
        }
      }
    }
  }

  /** Apply a mask to the data; twice is not at all. */
  toggleMask(mask) {
    for (let y = 0, at = 0; y < this.size; y += 1) {
      for (let x = 0; x < this.size; x += 1, at += 1) {
        if (!this.reserved[at] && MASKS[mask](x, y)) this.dark[at] ^= 1;
      }
    }
  }

  /** How hard the symbol is to read (clause 7.8.3.1, N1 to N4). */
  penalty() {
    const { size, dark } = this;
    let score = 0;
    let darkModules = 0;
    for (const [lineStep, step] of [[size, 1], [1, size]]) {
      for (let line = 0; line < size; line += 1) {
        let run = 0;
        let window = 0;
        for (let i = 0; i < size; i += 1) {
          const at = line * lineStep + i * step;
          run = i > 0 && dark[at] === dark[at - step] ? run + 1 : 1;
          if (run === 5) score += 3;
          else if (run > 5) score += 1;
          window = ((window << 1) | dark[at]) & 0x7ff;
          // 1:1:3:1:1 with four light modules before or behind it, as a finder pattern looks.
          if (i >= 10 && (window === 0b10111010000 || window === 0b00001011101)) score += 40;
        }
      }
    }
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        const at = y * size + x;
        darkModules += dark[at];
        if (x + 1 < size && y + 1 < size) {
          const sum = dark[at] + dark[at + 1] + dark[at + size] + dark[at + size + 1];
          if (sum === 0 || sum === 4) score += 3;
        }
      }
    }
    return score + 10 * Math.floor(Math.abs((darkModules * 20) / (size * size) - 10));
  }
}

/**
 * The smallest symbol that holds `text` (as UTF-8).
 *
 * `mask` 0 to 7 forces a data mask; by default the one with the least penalty is taken. RangeError beyond 858 bytes.
 */
export function encode(text, { mask } = {}) {
  const bytes = new TextEncoder().encode(text);
  const fits = (row, index) => 8 * dataCodewords(row) >= 4 + countBits(index + 1) + 8 * bytes.length;
  const version = VERSIONS.findIndex(fits) + 1;
  if (version === 0) throw new RangeError(`a QR code of version 20-L holds ${LONGEST} bytes, not ${bytes.length}`);
  const grid = new Grid(version);
  grid.drawFunctionPatterns();
  grid.drawData(codewords(bytes, version));
  let best = mask ?? 0;
  if (mask === undefined) {
    let least = Infinity;
    for (let candidate = 0; candidate < MASKS.length; candidate += 1) {
      grid.toggleMask(candidate);
      grid.drawFormat(candidate);
      const score = grid.penalty();
      grid.toggleMask(candidate);
      if (score < least) [least, best] = [score, candidate];
    }
  }
  grid.toggleMask(best);
  grid.drawFormat(best);
  return { size: grid.size, version, mask: best, get: (x, y) => grid.get(x, y) };
}

const SVG = "http://www.w3.org/2000/svg";
const QUIET_ZONE = 4;

/** `matrix` as one `<svg>` with one path: a horizontal bar per run of dark modules. `label` is its text alternative. */
export function draw(document, matrix, label) {
  const edge = matrix.size + 2 * QUIET_ZONE;
  let path = "";
  for (let y = 0; y < matrix.size; y += 1) {
    for (let x = 0; x < matrix.size; x += 1) {
      const from = x;
      while (x < matrix.size && matrix.get(x, y)) x += 1;
      if (x > from) path += `M${from + QUIET_ZONE} ${y + QUIET_ZONE}h${x - from}v1H${from + QUIET_ZONE}z`;
    }
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${edge} ${edge}`);
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const bars = document.createElementNS(SVG, "path");
  bars.setAttribute("d", path);
  bars.setAttribute("fill", "currentColor");
  svg.append(bars);
  return svg;
}
