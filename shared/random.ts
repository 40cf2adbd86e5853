/**
 * Seeds and uniforms. No generator is shared anywhere: every consumer derives its own seed from
 * what it works on, seed = hash(run seed, item, agent, turn), so results never depend on order,
 * batch or process.
 */

/**
 * 32-bit seed from any parts (FNV-1a over their text, then a final avalanche).
 *
 * @example The same parts give the same uniforms, other parts give others
 * ```ts
 * import assert from "node:assert/strict";
 *
 * const draw = (turn: number) => uniforms(seedOf(1, "item-7", "agent_1", turn))();
 * assert.equal(draw(1), draw(1));
 * assert.notEqual(draw(1), draw(2));
 * ```
 */
export function seedOf(...parts: (string | number)[]): number {
  let h = 0x811c9dc5;
  for (const part of parts) {
    const text = `${typeof part}:${part}\u0000`;
    for (let i = 0; i < text.length; i++) {
      h ^= text.charCodeAt(i);
      h = Math.imul(h, 0x01000193);
    }
  }
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32). */
export function uniforms(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Integer in [0, n). */
export function integerBelow(random: () => number, n: number): number {
  return Math.floor(random() * n);
}

/** Fisher–Yates shuffle in place; returns its argument. */
export function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = integerBelow(random, i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
