/**
 * What agents are told, as raw text without a chat: in our own words with the published content,
 * or compact, for a small policy. Leaves out tasks and rewards.
 */
import { DELIMITER } from "./paragraphs.ts";
import type { WritingId } from "./rules.ts";

export const PROMPT_STYLES = ["paper", "compact"] as const;
export type PromptStyle = typeof PROMPT_STYLES[number];

/** What the two texts are called in compact prompts; one agent writes both. */
const PARTS: Readonly<Record<WritingId, readonly [string, string]>> = {
  tldr: ["short", "long"],
  arxiv: ["background", "method"],
};

/** What the reference's prompt is for a task without a text. */
const NO_TEXT = {
  tldr: "Error: No prompt provided.",
  arxiv: "Error: No abstract provided.",
} as const;

/** Prompts of all agents, in playing order. */
export function promptsOf(
  id: WritingId,
  text: string,
  agents: 1 | 2,
  style: PromptStyle,
): string[] {
  // Only the reference's mode lets such a task come this far.
  if (text === "") return Array<string>(agents).fill(NO_TEXT[id]);
  if (style === "compact") {
    return (agents === 1 ? ["both"] : PARTS[id]).map((part) => `${id} ${part}: ${text}\n`);
  }
  return agents === 1 ? [ALONE[id](text)] : TEAM[id].map((prompt) => prompt(text));
}

const TEAM: Readonly<Record<WritingId, readonly ((text: string) => string)[]>> = {
  tldr: [
    (post) =>
      `Write a concise summary in response to this post.

Query:
${post}

Instructions:
- Answer with one sentence or a few sentences
- Be factual and informative
`,
    (post) =>
      `Write a detailed summary in response to this post.

Original Query:
${post}

Instructions:
- Use more unique words than a concise summary has
- Use some transition words, so that the text flows
`,
  ],
  arxiv: [
    (abstract) =>
      introduction(abstract, "background and motivation", "methodology and implications"),
    (abstract) =>
      introduction(abstract, "methodology and implications", "background and motivation"),
  ],
};

function introduction(abstract: string, own: string, other: string): string {
  return `Expand this abstract to content for the introduction section of its paper.

Abstract:
${abstract}

Instructions:
- Another agent writes about ${other}
- Write about ${own}
- Do not repeat what belongs to the other part
`;
}

const FORMAT = `Put exactly this between the paragraphs: ${DELIMITER}

Format:
Paragraph 1: ...
${DELIMITER}
Paragraph 2: ...
`;

const ALONE: Readonly<Record<WritingId, (text: string) => string>> = {
  tldr: (post) =>
    `Summarize this post in exactly two paragraphs.

${post}

Instructions:
- The first paragraph is a concise summary of the main points
- The second paragraph tells more details, with more unique words, with transition words of as many categories as possible, and with 2 to 3 times as many characters as the first, in the same style
- Each paragraph has 10 to 200 tokens

${FORMAT}`,
  arxiv: (abstract) =>
    `Expand this abstract to an introduction of exactly two paragraphs of the same length.

${abstract}

Instructions:
- The first paragraph gives background and motivation
- The second paragraph gives framework, method, contribution and implications, with a vocabulary as large as the first's
- Both use transition words of as many categories as possible, in one style

${FORMAT}`,
};
