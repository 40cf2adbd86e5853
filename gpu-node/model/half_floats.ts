/**
 * 16-bit floating-point formats widened to float32, exactly: IEEE 754 half precision (F16) and
 * bfloat16 (BF16). Narrowing is left out: weights are kept and written in float32.
 */

/** Every F16 bit pattern is one of 65536, so the whole conversion is a table, built once. */
let halfTable: Float32Array | undefined;

/** float32 values of IEEE half-precision bit patterns. */
export function widenF16(bits: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, pattern) => halfValue(pattern));
  const table = halfTable;
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

/** float32 values of bfloat16 bit patterns, which are the upper halves of float32 ones. */
export function widenBF16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

function halfValue(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 10) & 31;
  const fraction = pattern & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
