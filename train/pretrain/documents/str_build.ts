/**
 * StrBuild documents: a compact prompt and `/setblock` lines. A *precise* document builds on target
 * cells (it has read the prompt), a *random* one anywhere on the wall. None shows two agents
 * sharing work, and no evaluation word occurs.
 */
import { textRows } from "../../../shared/environments/minecraft/font.ts";
import { compactText } from "../../../shared/environments/minecraft/str_build/compact.ts";
import { TRAIN_WORDS } from "../../../shared/environments/minecraft/str_build/splits.ts";
import { palettes } from "../../../shared/environments/minecraft/str_build/task.ts";
import { integerBelow, shuffle } from "../../../shared/random.ts";
import { type Document, pick } from "./document.ts";

const HEIGHT = 5;
/** Widths of one and two letters, and of three and four now and then. */
const PATTERN_WIDTHS = [5, 12, 12, 12, 19, 26];
const COMMANDS = { least: 4, most: 22 };
/** Share of cells of a precise document that are target cells. */
const PRECISION = 0.98;

/** @param precise Share of documents that build on target cells. */
export function strBuildDocument(random: () => number, precise: number): Document {
  const rows = random() < 0.6 ? textRows(pick(TRAIN_WORDS, random)) : randomRows(random);
  const agent = integerBelow(random, 2);
  const turn = random() < 0.7 ? 1 : 2 + integerBelow(random, 3);
  const reward = turn === 1 ? null : random() * 5 - 3;
  const cells: [number, number][] = [];
  for (let x = 0; x < rows[0]!.length; x++) {
    for (let y = 0; y < HEIGHT; y++) cells.push([x, y]);
  }
  const isTarget = ([x, y]: [number, number]) => rows[HEIGHT - 1 - y]![x] === "#";
  shuffle(cells, random);
  const [targets, others] = [cells.filter(isTarget), cells.filter((c) => !isTarget(c))];
  const wanted = COMMANDS.least + integerBelow(random, COMMANDS.most - COMMANDS.least + 1);
  const aims = random() < precise;
  const chosen = Array.from({ length: Math.min(wanted, cells.length) }, () => {
    if (!aims) return cells.pop()!;
    return (random() < PRECISION || others.length === 0 ? targets.pop() : others.pop());
  }).filter((cell) => cell !== undefined);
  chosen.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const blocks = palettes(2)[agent]!;
  return {
    prompt: compactText(rows, agent, turn, reward),
    response: chosen.map(([x, y]) => `/setblock ${x} ${y} 0 ${pick(blocks, random)}\n`).join(""),
  };
}

/** A target of random cells with blank columns between blocks of five, as letters have. */
function randomRows(random: () => number): string[] {
  const width = pick(PATTERN_WIDTHS, random);
  const density = 0.3 + 0.4 * random();
  return Array.from(
    { length: HEIGHT },
    () =>
      Array.from({ length: width }, (_, x) => x % 7 < 5 && random() < density ? "#" : ".").join(""),
  );
}
