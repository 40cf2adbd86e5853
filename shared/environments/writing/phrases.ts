/**
 * Search of many phrases in one pass (Aho and Corasick 1975): which of them occur anywhere in a
 * text, also inside words. Its cost follows the length of the text alone.
 * Leaves out which phrases there are (lexicon.ts).
 */

/** What occurs in a text. */
export interface Found {
  /** Groups with at least one phrase. */
  groups: number;
  /** Phrases; one that is in two groups counts twice. */
  phrases: number;
}

/** Letters a to z and the blank; every other character ends what was matched so far. */
const ALPHABET = 27;
const NONE = -1;

/**
 * A finder of phrases of lower-case letters a to z and blanks, at most 31 groups of them. It takes
 * lower-case texts and reads them as one, in their order, with nothing between.
 */
export function phraseFinder(
  groups: readonly (readonly string[])[],
): (texts: readonly string[]) => Found {
  const phrases = [...new Set(groups.flat())];
  const { next, ends } = automaton(phrases);
  const within = phrases.map((phrase) => groups.map((group) => group.includes(phrase)));
  const masks = within.map((flags) => flags.reduce((mask, is, i) => mask | Number(is) << i, 0));
  const counts = within.map((flags) => flags.filter(Boolean).length);

  return (texts) => {
    const seen = new Uint8Array(phrases.length);
    let state = 0, mask = 0, count = 0;
    for (const text of texts) {
      for (let i = 0; i < text.length; i++) {
        const symbol = symbolOf(text.charCodeAt(i));
        state = symbol === NONE ? 0 : next[state * ALPHABET + symbol]!;
        for (const phrase of ends[state]!) {
          if (seen[phrase]) continue;
          seen[phrase] = 1;
          mask |= masks[phrase]!;
          count += counts[phrase]!;
        }
      }
    }
    return { groups: groups.filter((_, i) => mask >> i & 1).length, phrases: count };
  };
}

function symbolOf(unit: number): number {
  if (unit >= 97 && unit <= 122) return unit - 97;
  return unit === 32 ? 26 : NONE;
}

/** States by transitions, and the phrases that end in each state. */
function automaton(phrases: readonly string[]): { next: Int32Array; ends: number[][] } {
  const next = new Int32Array((1 + phrases.join("").length) * ALPHABET).fill(NONE);
  const ends: number[][] = [[]];
  phrases.forEach((phrase, number) => {
    let state = 0;
    for (const letter of phrase) {
      const edge = state * ALPHABET + symbolOf(letter.charCodeAt(0));
      if (next[edge] === NONE) next[edge] = ends.push([]) - 1;
      state = next[edge]!;
    }
    ends[state]!.push(number);
  });
  // By breadth: a missing edge leads where the longest proper suffix that is a state leads.
  const suffix = new Int32Array(ends.length);
  const queue = [0];
  for (const state of queue) {
    for (let symbol = 0; symbol < ALPHABET; symbol++) {
      const edge = state * ALPHABET + symbol;
      const fallback = state === 0 ? 0 : next[suffix[state]! * ALPHABET + symbol]!;
      const child = next[edge]!;
      if (child === NONE) next[edge] = fallback;
      else {
        suffix[child] = fallback;
        ends[child]!.push(...ends[fallback]!);
        queue.push(child);
      }
    }
  }
  return { next, ends };
}
