/**
 * One agent's answer to two paragraphs, which the reward takes like two agents' texts.
 * Leaves out the reward.
 */
import { codePointCount, codePointIndex, strip } from "../python_text.ts";

/** What the prompt asks to write between the paragraphs. */
export const DELIMITER = "[PARAGRAPH_SPLIT]";

/**
 * Both paragraphs of an answer: cut at the first delimiter, else at the label `Paragraph 2:` in
 * any case, else after a third of its characters (at least one). Labels in front are taken away.
 */
export function splitParagraphs(answer: string): [first: string, second: string] {
  const text = strip(answer);
  const [before, after] = cut(text);
  return [
    strip(strip(before).replace(/^paragraph 1:/i, "")),
    strip(strip(after).replace(/^paragraph 2:/i, "")),
  ];
}

function cut(text: string): [string, string] {
  const delimiter = text.indexOf(DELIMITER);
  if (delimiter >= 0) return [text.slice(0, delimiter), text.slice(delimiter + DELIMITER.length)];
  const label = /paragraph 2:/i.exec(text);
  if (label) return [text.slice(0, label.index), text.slice(label.index + label[0].length)];
  const third = codePointIndex(text, Math.max(1, Math.floor(codePointCount(text) / 3)));
  return [text.slice(0, third), text.slice(third)];
}
