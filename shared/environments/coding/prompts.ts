/**
 * Prompts of the first turn: who writes the helper and who the main function.
 * Leaves out what agents are told on later turns (feedback.ts).
 */
import type { CodingTask } from "./task.ts";

export const PROMPT_STYLES = ["paper", "compact"] as const;
export type PromptStyle = typeof PROMPT_STYLES[number];

/**
 * Parameters of a function head in a problem's text: of the last one by that name, else of the first
 * with some, as published; "" where none is found.
 */
export function parametersOf(prompt: string, name?: string): string {
  const heads = [...prompt.matchAll(/def\s+(\w+)\s*\(/g)];
  const own = heads.findLast((head) => head[1] === name);
  for (const { 0: head, index } of own ? [own] : heads) {
    const start = index + head.length;
    const end = prompt.indexOf(")", start);
    if (end < 0) return "";
    if (end > start) return prompt.slice(start, end).trim();
  }
  return "";
}

const RULES = [
  "- Write Python code and nothing else: no explanation, no markdown",
  "- No tests and no examples of use",
  "- The function must return its result",
];

/** Prompts in playing order; a single agent gets the main function's. */
export function firstPrompts(
  task: CodingTask,
  agents: 1 | 2,
  style: PromptStyle,
  reference = false,
): string[] {
  const { prompt, entry_point: name } = task;
  if (style === "compact") {
    return Array.from({ length: agents }, (_, agent) => compactPrompt(task, agent, 1, null));
  }
  const parameters = parametersOf(prompt, reference ? undefined : name);
  const head = `${name}(${parameters})`;
  const main = [
    `You write the main function that solves this problem.`,
    "",
    "Problem:",
    prompt.trimEnd(),
    "",
    "Instructions:",
    ...RULES,
    `- Define exactly one function: ${head}`,
  ];
  if (agents === 1) return [[...main, "", `Your function ${name}:`, ""].join("\n")];
  const aux = [
    "You write a helper function that will be of use for solving this problem.",
    "",
    "Problem:",
    prompt.trimEnd(),
    "",
    "Instructions:",
    ...RULES,
    `- Define exactly one function, named aux, with the parameters of the problem's function: ` +
    `aux(${parameters})`,
    `- Another agent writes ${name} and may call aux(...)`,
    "",
    "Your function aux:",
    "",
  ];
  return [
    aux.join("\n"),
    [
      ...main,
      "- Another agent has written a helper aux(...) with the same parameters; you may call it",
      "- Do not define aux yourself; it is there",
      "",
      `Your function ${name}:`,
      "",
    ].join("\n"),
  ];
}

/**
 * Prompt for a small policy that answers with one expression of `x`, such as
 * `t1 a2 Add 3, then square\n` or on a later turn `t2 r1.5 a2 …`.
 * @param agent 0-based; written 1-based.
 */
export function compactPrompt(
  { prompt }: CodingTask,
  agent: number,
  turn: number,
  reward: number | null,
): string {
  const words = (docstringLine(prompt) ?? prompt.trim()).replace(/\.$/, "");
  const earned = reward === null ? "" : ` r${reward.toFixed(1).replace("-0.0", "0.0")}`;
  return `t${turn}${earned} a${agent + 1} ${words}\n`;
}

/** The first line of the first docstring that says something. */
function docstringLine(prompt: string): string | undefined {
  const text = /("""|''')([^]*?)(?:\1|$)/.exec(prompt)?.[2] ?? "";
  return text.split("\n").map((line) => line.trim()).find((line) => line !== "");
}

/** The functions that compact answers stand for: an expression each, in a function of its own. */
export function expandCompact(task: CodingTask, texts: readonly string[]): string[] {
  const parameters = parametersOf(task.prompt, task.entry_point) || "x";
  const names = texts.length === 1 ? [task.entry_point] : ["aux", task.entry_point];
  return texts.map((text, agent) => {
    const expression = text.split("\n", 1)[0]!.trim();
    // By way of a variable: as published, a main function of one line wraps its helper.
    return expression === ""
      ? ""
      : `def ${names[agent]}(${parameters}):\n    r = ${expression}\n    return r\n`;
  });
}
