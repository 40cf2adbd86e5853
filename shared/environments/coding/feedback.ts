/**
 * What agents are told from turn 2 on: their own last prompt and answer, and as much of how it went
 * as the mode says. Tests beyond the visible ones appear in no feedback.
 * Leaves out where an expert's edits come from (expert.ts).
 */
import { visibleTests } from "./analysis.ts";
import type { Report } from "./reward.ts";
import type { CodingTask } from "./task.ts";

export const FEEDBACK_MODES = [
  "level_feedback",
  "plain",
  "passed",
  "level_passed",
  "expert_edits",
] as const;
export type FeedbackMode = typeof FEEDBACK_MODES[number];

/** What an expert proposes; either may be empty. */
export interface Edits {
  aux: string;
  main: string;
}

export interface Round {
  mode: FeedbackMode;
  /** 1-based turn to be played. */
  turn: number;
  task: CodingTask;
  agents: 1 | 2;
  report: Report;
  slice: number | "all" | null;
  /** Notes on results of `aux` that main does not use. */
  notes: readonly string[];
  edits: Edits | null;
}

export type Role = "aux" | "main";

/** Prompt of one agent: its first prompt, its last answer, feedback. */
export function followUp(round: Round, role: Role, prompt: string, response: string): string {
  const { mode, task } = round;
  const name = role === "aux" ? "aux" : task.entry_point;
  const told = mode === "expert_edits" ? expertLines(round, role) : feedbackLines(round);
  return [
    prompt.trimEnd(),
    "",
    `Your previous answer (turn ${round.turn - 1}):`,
    response.trim() === "" ? "(empty)" : response.trim(),
    "",
    ...told.length > 0 ? ["Feedback:", ...told, ""] : [],
    `Revise your function ${name}. Answer with its full code only:`,
    "",
  ].join("\n");
}

function feedbackLines(round: Round): string[] {
  switch (round.mode) {
    case "level_feedback":
      return [...levelLines(round), ...testLines(round), ...usageLines(round)];
    case "level_passed":
      return [...levelLines(round), passedLine(round), ...usageLines(round)];
    case "passed":
      return [passedLine(round)];
    default:
      return [];
  }
}

/** Whether the functions are there and the program parses. */
function levelLines({ report, task, agents }: Round): string[] {
  const aux = report.aux_defined ? "defined" : "missing, or without a return";
  const main = report.main_defined ? "defined" : "missing, or without a return";
  const lines = [
    ...agents === 2 ? [`- Helper aux: ${aux}`] : [],
    `- Main function ${task.entry_point}: ${main}`,
  ];
  if (!report.main_defined) return lines;
  const syntax = report.parsed ? "correct" : `error: ${report.problem ?? "it does not parse"}`;
  return [
    ...lines,
    `- Syntax of the whole program: ${syntax}`,
    ...report.parsed && report.problem !== null ? [`- The program stopped: ${report.problem}`] : [],
  ];
}

function testLines({ report, slice }: Round): string[] {
  if (!report.parsed) return [];
  const seen = visibleTests(report.tests, slice);
  const failed = seen.filter((test) => !test.passed);
  return [
    `- Tests passed: ${seen.length - failed.length} of ${seen.length}`,
    ...failed.map(({ text, why }) => `- Failed (${why ?? "unknown"}): ${text}`),
  ];
}

function passedLine({ report, slice }: Round): string {
  const seen = visibleTests(report.tests, slice);
  const all = seen.length > 0 && seen.every((test) => test.passed);
  return `- Tests: ${all ? "all passed" : "not all passed"}`;
}

function usageLines({ report, notes }: Round): string[] {
  if (report.aux === "" || report.main === "") return [];
  return [
    ...report.passed > 0 && !report.uses_aux ? ["- The main function does not call aux"] : [],
    ...report.wrapper ? ["- The main function only passes on what aux returns: do some work"] : [],
    ...notes.map((note) => `- Result of aux not used: ${note}`),
  ];
}

function expertLines({ edits }: Round, role: Role): string[] {
  const edit = edits?.[role].trim() ?? "";
  return edit === ""
    ? ["- An expert looked at your function and proposes no change"]
    : ["- An expert proposes this version of your function:", edit];
}
