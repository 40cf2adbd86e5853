/**
 * From an agent's text to commands: lines are cleaned, then accepted or rejected one by one
 * with a reason. Rules and their order are the published ones.
 * Leaves out what commands do (world.ts). Linear in the length of the text.
 */
import { asciiDigits, splitLines, splitWords, strip } from "../python_text.ts";
import { AIR, blockId } from "./textures.ts";
import { type Box, boxOf, boxSize, inBox, type Position } from "./world.ts";

export type Verb = "setblock" | "fill" | "kill";

export type Command =
  | { verb: "setblock"; at: Position; block: string }
  | { verb: "fill"; box: Box; block: string }
  | { verb: "kill"; target: string };

export interface CommandRules {
  verbs: readonly Verb[];
  /** Blocks the agent may write, beside air. */
  blocks: readonly string[];
  /** Where the agent may write. */
  box: Box;
  /** Most commands that are accepted; rejected lines do not count. */
  limit: number;
  /** Cells that `/fill` may spend per block; a block without an entry is free. */
  resources?: Readonly<Record<string, number>>;
}

export interface Rejection {
  line: string;
  reason: string;
}

export interface ParsedCommands {
  accepted: Command[];
  /** The first rejected lines with their reasons (at most `MAX_REPORTED`). */
  rejected: Rejection[];
  /** Number of all rejected lines. */
  rejectedCount: number;
}

/** Rejections that are listed; a megabyte of rubbish must not become many megabytes of reasons. */
export const MAX_REPORTED = 1000;
const MAX_LINE = 200;

/** Cleaned command lines: fences, list marks and blank lines removed. */
export function commandLines(text: string): string[] {
  return splitLines(insideFences(strip(text)))
    .map((line) => withoutListMark(strip(line)))
    .filter((line) => line !== "");
}

/** Accepts and rejects the commands of one agent's text. */
export function parseCommands(text: string, rules: CommandRules): ParsedCommands {
  const parsed: ParsedCommands = { accepted: [], rejected: [], rejectedCount: 0 };
  const spent: Record<string, number> = {};
  for (const line of commandLines(text)) {
    const full = parsed.accepted.length >= rules.limit;
    const words = commandWords(line);
    if (!full && words.length === 0) continue;
    const result = full ? `exceeds max_commands=${rules.limit}` : readCommand(words, rules, spent);
    if (typeof result === "object") {
      parsed.accepted.push(result);
      continue;
    }
    parsed.rejectedCount++;
    if (parsed.rejected.length < MAX_REPORTED) {
      parsed.rejected.push({ line: line.slice(0, MAX_LINE), reason: result.slice(0, MAX_LINE) });
    }
  }
  return parsed;
}

/** A command in its canonical spelling. */
export function commandText(command: Command): string {
  if (command.verb === "kill") return strip(`/kill ${command.target}`);
  if (command.verb === "setblock") return `/setblock ${command.at.join(" ")} ${command.block}`;
  return `/fill ${command.box.from.join(" ")} ${command.box.to.join(" ")} ${command.block}`;
}

/** Text between the first two ``` marks without its language tag; unchanged if there is no pair. */
function insideFences(text: string): string {
  const open = text.indexOf("```");
  const close = open < 0 ? -1 : text.indexOf("```", open + 3);
  if (close < 0) return text;
  return strip(text.slice(open + 3, close)).replace(/^[A-Za-z0-9_-]+[^\S\n]*\n/, "");
}

function withoutListMark(line: string): string {
  // Most lines begin with a slash or a letter, above every mark of ASCII.
  const first = line.charCodeAt(0);
  if (first === 0x2f || first > 0x39 && first < 0x80) return line;
  return strip(line.replace(/^(?:[-*]+|\p{Nd}+[.)])/u, ""));
}

function commandWords(line: string): string[] {
  return splitWords(line.startsWith("/") ? line.slice(1) : line);
}

/** The command, or the reason why it is rejected. */
function readCommand(
  words: string[],
  rules: CommandRules,
  spent: Record<string, number>,
): Command | string {
  const verb = words[0]!.toLowerCase();
  if (!(rules.verbs as readonly string[]).includes(verb)) return `unsupported command: ${verb}`;
  if (verb === "kill") return { verb, target: words.slice(1).join(" ").slice(0, MAX_LINE) };
  return verb === "setblock" ? readSetblock(words, rules) : readFill(words, rules, spent);
}

function readSetblock(words: string[], rules: CommandRules): Command | string {
  if (words.length < 5) return "setblock needs: /setblock x y z block";
  const at = position(words, 1);
  if (!at) return "setblock coords must be absolute integers (no ~)";
  const block = blockId(words[4]!);
  if (!allowed(block, rules)) return `block not allowed: ${block}`;
  if (!inBox(rules.box, at)) return "setblock coord out of bbox";
  return { verb: "setblock", at, block };
}

function readFill(
  words: string[],
  rules: CommandRules,
  spent: Record<string, number>,
): Command | string {
  if (words.length < 8) return "fill needs: /fill x1 y1 z1 x2 y2 z2 block";
  const a = position(words, 1);
  const b = position(words, 4);
  if (!a || !b) return "fill coords must be absolute integers (no ~)";
  const block = blockId(words[7]!);
  if (!allowed(block, rules)) return `block not allowed: ${block}`;
  if (!inBox(rules.box, a) || !inBox(rules.box, b)) return "fill coord out of bbox";
  if (words.length > 8) return "fill modes (replace/keep/...) not allowed";
  const box = boxOf(a, b);
  const limit = rules.resources?.[block];
  if (block !== AIR && limit !== undefined) {
    const [width, height, depth] = boxSize(box);
    const total = (spent[block] ?? 0) + width * height * depth;
    if (total > limit) return `exceeds resource limit for ${block}: ${total}>${limit}`;
    spent[block] = total;
  }
  return { verb: "fill", box, block };
}

function allowed(block: string, rules: CommandRules): boolean {
  return block === AIR || rules.blocks.includes(block);
}

/** Three integers from a word on, or nothing. */
function position(words: readonly string[], start: number): Position | undefined {
  const x = integer(words[start]!);
  const y = integer(words[start + 1]!);
  const z = integer(words[start + 2]!);
  return x === undefined || y === undefined || z === undefined ? undefined : [x, y, z];
}

/** An integer as Python's int() reads it: a sign, single underscores between digits of any script. */
function integer(word: string): number | undefined {
  const digit = word.charCodeAt(0) - 0x30;
  if (word.length === 1 && digit >= 0 && digit <= 9) return digit;
  if (!/^[+-]?\p{Nd}+(?:_\p{Nd}+)*$/u.test(word)) return undefined;
  return Number(asciiDigits(word).replaceAll("_", ""));
}
