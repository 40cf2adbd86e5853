/**
 * The prompts of a batch, block by block (program/batch.ts). What prompts of one policy have in
 * common from their start runs once, in whole blocks, and so do equal prompts. Blocks are cut where
 * the prompt alone says: its bits are the same whoever shares them.
 */
import { dispose } from "../device.ts";
import type { ModelSpec } from "../model/spec.ts";
import { weightsOf } from "../policy.ts";
import { lastBlock, leftPadded, PROMPT_BLOCK, promptBucket } from "../program/batch.ts";
import type { ProgramLibrary } from "../program/library.ts";
import { maskOf, type SideBySide } from "./adapters.ts";
import { ownerOf, type Row } from "./rows.ts";
import { bareSpec } from "./spec.ts";
import { chooseRows, filled, renamed, startOf, type State, type Tensors } from "./state.ts";

/** As for rows (state.ts): below this many tokens a run's last bits depend on their number. */
const leastTokens = ({ device }: ProgramLibrary): number => device.threads === 1 ? 2 : 128;
/** Padded tokens of one run. */
const RUN_TOKENS = 8192;
/** Numbers in the attention scores of one run (256 MiB of float32). */
const MOST_SCORES = 2 ** 26;

/** The different beginnings of all prompts up to some block, as rows of `runs`. */
interface Beginnings {
  runs: Tensors[];
  /** Index of each row's beginning. */
  of: number[];
}

/**
 * Runs the rows' prompts, which are of one padded length. `stop` is asked between runs; null where
 * it says so.
 */
export async function prefill(
  library: ProgramLibrary,
  rows: Row[],
  adapters: SideBySide | null,
  stop: () => boolean,
): Promise<State | null> {
  const { policy, prompt, group } = rows[0]!;
  const spec = bareSpec(policy.spec);
  const width = promptBucket(prompt.length);
  const last = lastBlock(width);
  let before: Beginnings | null = null;
  for (let start = 0; start <= last; start += PROMPT_BLOCK) {
    const end = Math.min(start + PROMPT_BLOCK, width);
    const after = await block(library, spec, rows, adapters, before, { start, end, last, stop });
    for (const run of before?.runs ?? []) dispose(Object.values(run));
    if (!after) return null;
    before = after;
  }
  const { runs, of } = before!;
  const shared = group > 1 ? { prompts: [...new Set(of)], group } : null;
  return startOf(library, rows, await chooseRows(library, spec, runs, of, shared));
}

/** The next block of every prompt, behind what came before it; null when `stop` says so. */
async function block(
  library: ProgramLibrary,
  spec: ModelSpec,
  rows: readonly Row[],
  adapters: SideBySide | null,
  before: Beginnings | null,
  { start, end, last, stop }: { start: number; end: number; last: number; stop: () => boolean },
): Promise<Beginnings | null> {
  const form = { targets: adapters?.targets ?? [], first: start === 0, last: start === last };
  const program = await library.prefill(spec, form);
  const tokens = ({ prompt }: Row) => prompt.slice(start, form.last ? prompt.length : end);
  const known = new Map<string, { row: Row; parent: number; index: number }>();
  const of = rows.map((row, i) => {
    const parent = before?.of[i] ?? 0;
    // Groups stand together: two requests for one prompt are two groups.
    const owner = form.last ? ownerOf(row) : "";
    const key = `${row.policy.name} ${owner} ${parent} ${tokens(row).join()}`;
    const found = known.get(key) ?? { row, parent, index: known.size };
    known.set(key, found);
    return found.index;
  });
  const width = end - start;
  const scores = spec.config.heads * width * end;
  const size = Math.max(1, Math.floor(Math.min(RUN_TOKENS / width, MOST_SCORES / scores)));
  const runs: Tensors[] = [];
  const beginnings = [...known.values()];
  for (let at = 0; at < beginnings.length; at += size) {
    if (stop()) {
      for (const run of runs) dispose(Object.values(run));
      return null;
    }
    const piece = filled(beginnings.slice(at, at + size), Math.ceil(leastTokens(library) / width));
    const past = before && await pastOf(library, spec, before, piece.map(({ parent }) => parent));
    runs.push(
      await program.run({
        ...weightsOf(rows[0]!.policy),
        ...adapters?.feeds,
        ...adapters && { mask: maskOf(adapters, piece.map(({ row }) => row.policy)) },
        ...leftPadded(piece.map(({ row }) => tokens(row)), width),
        ...past?.tensors,
      }),
    );
    if (past?.copied) dispose(Object.values(past.tensors));
  }
  return { runs, of };
}

/** The cache of the chosen beginnings, under the name that the next block reads. */
async function pastOf(
  library: ProgramLibrary,
  spec: ModelSpec,
  { runs }: Beginnings,
  chosen: readonly number[],
): Promise<{ tensors: Tensors; copied: boolean }> {
  const [first] = runs;
  const { config } = spec;
  const count = first![`past.0.key`]!.dims[0];
  if (runs.length === 1 && chosen.length === count && chosen.every((row, i) => row === i)) {
    return { tensors: renamed(first!, "past", "before", config), copied: false };
  }
  const program = await library.rows(spec, runs.length, false);
  const past = await program.run({
    ...Object.assign({}, ...runs.map((run, i) => renamed(run, "past", `past.${i}`, config))),
    rows: { data: Int32Array.from(chosen), dims: [chosen.length] },
  });
  return { tensors: renamed(past, "past", "before", config), copied: true };
}
