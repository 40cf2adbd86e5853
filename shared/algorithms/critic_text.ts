/**
 * The text that a critic reads. A centralized critic (CoLLM-CC) reads the joint history: the
 * prompts shown to every agent on that turn; history enters only through them. A critic of one
 * agent (CoLLM-DC) reads that agent's own prompt and nothing of any other agent's.
 */

/**
 * Joint history of one turn: `[Agent i] prompt` per agent (i from 0), one blank line between;
 * with completions (a critic of type q) also the joint action (reference section 3).
 */
export function jointCriticText(
  promptsA: readonly string[],
  completionsA?: readonly string[],
): string {
  const history = promptsA.map((prompt, a) => `[Agent ${a}] ${prompt}`);
  const action = completionsA?.map((text, a) => `[Agent ${a} action]\n${text}`);
  return [...history, ...(action ? ["[Joint Action]", ...action] : [])].join("\n\n");
}

/** Own history of one agent; with a completion (type q) directly followed by it (section 2). */
export function ownCriticText(prompt: string, completion = ""): string {
  return prompt + completion;
}
