/**
 * Python's idea of white space and lines, which the published rewards are defined with.
 * It differs from JavaScript's: U+001C..U+001F and U+0085 separate, U+FEFF does not.
 * Everything is linear in the length of the text (no backtracking over runs of blanks).
 */

// Written as escapes inside a string: a literal with control characters would be unreadable.
const SPACES = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a" +
  "\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE = new RegExp(`[${SPACES}]`);
const SPACE_RUN = new RegExp(`[${SPACES}]+`);
const LINE_ENDS = "\\n-\\r\\u001c-\\u001e\\u0085\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`);

/** Words of a text, as Python's `str.split()` gives them. */
export function splitWords(text: string): string[] {
  return text.split(SPACE_RUN).filter((word) => word !== "");
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
  while (start < end && SPACE.test(text[start]!)) start++;
  while (end > start && SPACE.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
