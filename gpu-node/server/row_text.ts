/**
 * The text of one completion while its tokens come: what is certain goes out at once, what could
 * still become a stop text or is half a character is held back. Leaves out drawing (sample.ts).
 */
import type { Tokenizer } from "../model/tokenizer.ts";

/** What newly became certain: tokens, and the text they add (null without a tokenizer). */
export interface Piece {
  tokens: number[];
  logprobs: number[];
  text: string | null;
}

export interface RowText {
  push(tokens: readonly number[], logprobs: readonly number[]): Piece;
  /** What was held back, when no more tokens come. */
  flush(): Piece;
  /** A stop text was found: the tokens so far hold it, the text ends before it. */
  readonly stopped: boolean;
  /** Tokens taken in so far, also those after a stop text. */
  readonly seen: number;
}

/** Undecodable bytes at the end that may be the start of a character: it has four at most. */
const HALF_CHARACTER = /\ufffd{1,3}$/;

export function rowText(tokenizer: Tokenizer | null, stops: readonly string[]): RowText {
  /** Tokens that are not out yet, their text, and how much of that is out. */
  let [tokens, logprobs]: [number[], number[]] = [[], []];
  let out = 0;
  let [stopped, seen] = [false, 0];
  const textOf = (count: number) =>
    tokenizer!.decode(tokens.slice(0, count), { continuation: true });

  /** All tokens go out, with the text up to `end`. */
  const release = (text: string, end: number): Piece => {
    const piece = { tokens, logprobs, text: text.slice(out, end) };
    [tokens, logprobs, out] = [[], [], 0];
    return piece;
  };

  return {
    get stopped() {
      return stopped;
    },
    get seen() {
      return seen;
    },
    push(more, theirs) {
      seen += more.length;
      if (stopped) return { tokens: [], logprobs: [], text: tokenizer && "" };
      if (!tokenizer) return { tokens: [...more], logprobs: [...theirs], text: null };
      tokens.push(...more);
      logprobs.push(...theirs);
      const text = textOf(tokens.length);
      const cut = cutAt(text, stops);
      if (cut < Infinity) {
        stopped = true;
        // Fewest tokens whose text holds the stop: one more only ever lengthens the text.
        let [without, count] = [0, tokens.length];
        while (count - without > 1) {
          const middle = (without + count) >> 1;
          if (cutAt(textOf(middle), stops) === Infinity) without = middle;
          else count = middle;
        }
        tokens.length = logprobs.length = count;
        return release(text, cut);
      }
      const sure = text.length - heldBack(text, stops);
      if (sure === text.length) return release(text, sure);
      const piece = { tokens: [], logprobs: [], text: text.slice(out, sure) };
      out = Math.max(out, sure);
      return piece;
    },
    flush() {
      if (!tokenizer) return { tokens: [], logprobs: [], text: null };
      const text = textOf(tokens.length);
      return release(text, text.length);
    },
  };
}

const cutAt = (text: string, stops: readonly string[]): number =>
  Math.min(...stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0));

/** Characters at the end of `text` that may yet change or begin a stop text. */
function heldBack(text: string, stops: readonly string[]): number {
  let held = HALF_CHARACTER.exec(text)?.[0].length ?? 0;
  const whole = text.slice(0, text.length - held);
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, whole.length); length > 0; length--) {
      if (!whole.endsWith(stop.slice(0, length))) continue;
      held = Math.max(held, text.length - whole.length + length);
      break;
    }
  }
  return held;
}
