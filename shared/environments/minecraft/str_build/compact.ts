/**
 * The compact prompt style: raw text for a small policy, without system message or chat template.
 * Columns rather than rows, x before y as in the command grammar, so that one look-up in the
 * prompt answers each choice of a command. Actions are the same `/setblock X Y 0 block` lines.
 */
import { GLYPH_SIZE } from "../font.ts";
import { type StrBuildTask, type Target, targetOf } from "./task.ts";

/** The columns of targets. */
const ready = new WeakMap<Target, string>();

/**
 * Prompt of one agent: turn, the previous turn's reward (from turn 2 on), agent, and each
 * non-empty column as `x=` with its five cells from y = 0 up, for example
 * `t1 a1 0=#...# 1=#...# 2=##### 3=#...# 4=#...#\n` or `t2 r0.5 a1 0=…`.
 * @param agentIndex 0-based; written 1-based.
 * @param turn 1-based.
 * @param previousReward Reward of turn - 1; `null` on the first turn.
 */
export function compactPrompt(
  task: Pick<StrBuildTask, "word">,
  agentIndex: number,
  turn: number,
  previousReward: number | null,
): string {
  const target = targetOf(task.word);
  let columns = ready.get(target);
  if (columns === undefined) ready.set(target, columns = columnsText(target.rows));
  return header(agentIndex, turn, previousReward) + columns;
}

/** The same for any target given as rows of '#' and '.' from the top. */
export function compactText(
  rows: readonly string[],
  agentIndex: number,
  turn: number,
  previousReward: number | null,
): string {
  return header(agentIndex, turn, previousReward) + columnsText(rows);
}

function header(agentIndex: number, turn: number, previousReward: number | null): string {
  const reward = previousReward === null ? "" : ` r${oneDecimal(previousReward)}`;
  return `t${turn}${reward} a${agentIndex + 1}`;
}

function columnsText(rows: readonly string[]): string {
  let text = "";
  for (let x = 0; x < rows[0]!.length; x++) {
    const column = Array.from({ length: GLYPH_SIZE }, (_, y) => rows[GLYPH_SIZE - 1 - y]![x]!);
    if (column.includes("#")) text += ` ${x}=${column.join("")}`;
  }
  return `${text}\n`;
}

/** One decimal; a negative zero is written as zero, one spelling for one number. */
function oneDecimal(value: number): string {
  const text = value.toFixed(1);
  return text === "-0.0" ? "0.0" : text;
}
