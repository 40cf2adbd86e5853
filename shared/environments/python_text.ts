/**
 * Python's idea of white space, lines, words and length, which the published rewards are defined
 * with. It differs from JavaScript's: U+001C..U+001F and U+0085 separate, U+FEFF does not; a text
 * is as long as its code points; letters and digits of every script make words.
 * Everything is linear in the length of the text (no backtracking over runs of blanks).
 */

// Written as escapes inside a string: a literal with control characters would be unreadable.
const SPACES = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a" +
  "\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE = new RegExp(`[${SPACES}]`);
const LINE_ENDS = "\\n-\\r\\u001c-\\u001e\\u0085\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`);

const WORD = /^[\p{L}\p{N}_]$/u;
const DIGIT = /[^\0-\x7f\P{Nd}]/gu;
const IS_DIGIT = /^\p{Nd}$/u;
/** Upper bits of the two halves of a surrogate pair. */
const [HIGH, LOW] = [0xd800 >>> 10, 0xdc00 >>> 10];
/** By code unit: 1 for white space. */
const SPACE_UNITS = Uint8Array.from(
  { length: 0x3001 },
  (_, unit) => Number(SPACE.test(String.fromCharCode(unit))),
);
/** By code unit: 0 not known yet, or a half of a pair; 1 part of words; 2 not. */
const WORD_UNITS = new Uint8Array(0x10000);

/** Words of a text, as Python's `str.split()` gives them. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    if (!isSpace(text.charCodeAt(i))) {
      if (start < 0) start = i;
    } else if (start >= 0) {
      words.push(text.slice(start, i));
      start = -1;
    }
  }
  if (start >= 0) words.push(text.slice(start));
  return words;
}

/** Number of words of a text, as Python's `len(text.split())` gives it. */
export function countWords(text: string): number {
  let count = 0;
  let inside = false;
  for (let i = 0; i < text.length; i++) {
    const space = isSpace(text.charCodeAt(i));
    if (inside === space) {
      inside = !space;
      if (inside) count++;
    }
  }
  return count;
}

/** Length in code points, as Python's `len()` gives it; a lone surrogate counts as one. */
export function codePointCount(text: string): number {
  let count = text.length;
  for (let i = 1; i < text.length; i++) {
    if (text.charCodeAt(i) >>> 10 === LOW && text.charCodeAt(i - 1) >>> 10 === HIGH) count--;
  }
  return count;
}

/** Index in UTF-16 units of the code point number `count` of a text; its length beyond the end. */
export function codePointIndex(text: string, count: number): number {
  let index = 0;
  for (let n = 0; n < count && index < text.length; n++) {
    index += text.codePointAt(index)! > 0xffff ? 2 : 1;
  }
  return index;
}

/**
 * Whether the UTF-16 unit at `index` belongs to a letter, a digit or an underscore, as Python's
 * `\w` takes them.
 */
export function isWordAt(text: string, index: number): boolean {
  const known = WORD_UNITS[text.charCodeAt(index)]!;
  return known === 0 ? isWordPoint(pointAt(text, index)) : known === 1;
}

/** Lines of a text, as Python's `str.splitlines()` gives them. */
export function splitLines(text: string): string[] {
  const lines = text.split(LINE_END);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Text without white space at both ends, as Python's `str.strip()` gives it. */
export function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Text with the decimal digits of every script as 0 to 9, as Python's `int()` reads them. */
export function asciiDigits(text: string): string {
  return text.replace(DIGIT, (digit) => {
    let zero = digit.codePointAt(0)!;
    const point = zero;
    // Scripts have their digits in a row from zero on, some several times over.
    while (IS_DIGIT.test(String.fromCodePoint(zero - 1))) zero--;
    return String((point - zero) % 10);
  });
}

function isSpace(unit: number): boolean {
  return unit <= 0x3000 && SPACE_UNITS[unit] === 1;
}

/** Code point that the unit at `index` is part of. */
function pointAt(text: string, index: number): number {
  const before = index > 0 ? text.codePointAt(index - 1)! : 0;
  return before > 0xffff ? before : text.codePointAt(index)!;
}

function isWordPoint(point: number): boolean {
  const word = WORD.test(String.fromCodePoint(point));
  // A half of a pair says nothing of the pair.
  if (point < 0xd800 || point > 0xdfff) WORD_UNITS[point] = word ? 1 : 2;
  return word;
}
