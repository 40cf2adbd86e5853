/**
 * One completion on its way, and which of them run together. What shares a run is decided by the
 * model and the prompt's padded length alone, so that a completion depends on nothing else.
 */
import { uniforms } from "../../shared/random.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Weights } from "../policy.ts";
import { promptBucket } from "../program/batch.ts";
import { UNIFORM_STEPS } from "../program/draw.ts";
import type { Completion, SampleHooks, SampleRequest } from "../verbs.ts";

export interface Row {
  /** Index of the request, and of the prompt within it. */
  request: number;
  at: number;
  policy: Weights;
  settings: SampleRequest;
  prompt: readonly number[];
  /** Left padding of the prompt. */
  pad: number;
  /** Completions of this prompt that share its keys and values; 1 = a copy of its own. */
  group: number;
  /** Which of the groups of its prompt, where they share. */
  part: number;
  /** The next uniform of this row: of its seed alone, 23 bits, so always below 1. */
  uniform: () => number;
  tokens: number[];
  logprobs: number[];
  finish: Completion["finish_reason"] | "cancelled" | "broken" | null;
}

/** Prompts from this padded length, and groups of these sizes, are shared. */
const SHARED_WIDTH = 64;
const SHARED_GROUPS = [4, 64] as const;

/**
 * Completions per prompt that share, where a request asks for as many of each and it pays: all of
 * them, or a part for each lane. Only the request itself decides: sharing changes the last bits.
 */
function groupOf(policy: Weights, { prompts }: SampleRequest, lanes: number): number {
  if (!readsBehind(policy.spec.config)) return 1;
  if (!prompts.every((prompt) => promptBucket(prompt.length) >= SHARED_WIDTH)) return 1;
  const counts = new Map<string, number>();
  for (const prompt of prompts) counts.set(prompt.join(), (counts.get(prompt.join()) ?? 0) + 1);
  const [count = 0, ...others] = new Set(counts.values());
  const [least, most] = SHARED_GROUPS;
  if (others.length > 0 || count < least || count > most) return 1;
  return count % lanes === 0 && count / lanes >= least ? count / lanes : count;
}

/** The rows of a request, in the order of its prompts; `lanes` that they will be split over. */
export function rowsOf(
  policy: Weights,
  settings: SampleRequest,
  request: number,
  lanes = 1,
): Row[] {
  const group = groupOf(policy, settings, lanes);
  const seen = new Map<string, number>();
  return settings.prompts.map((prompt, at) => {
    const before = seen.get(prompt.join()) ?? 0;
    seen.set(prompt.join(), before + 1);
    const random = uniforms(settings.seeds[at]!);
    return {
      request,
      at,
      policy,
      settings,
      prompt,
      pad: promptBucket(prompt.length) - prompt.length,
      uniform: () => Math.floor(random() * UNIFORM_STEPS) / UNIFORM_STEPS,
      tokens: [],
      logprobs: [],
      finish: null,
      group,
      part: group > 1 ? Math.floor(before / group) : 0,
    };
  });
}

/** Whose keys and values a row may share: a group's, or those of anyone with its prompt. */
export const ownerOf = ({ request, part, group }: Row): string =>
  group > 1 ? `${request}.${part}` : "";

/** Rows that share, or whose prompts are equal, have equal keys. */
const promptKey = (row: Row): string => `${ownerOf(row)}:${row.policy.name}:${row.prompt.join()}`;

/** Takes the row's next token; what comes after its end is ignored. */
export function extend(row: Row, token: number, logprob: number): void {
  if (row.finish) return;
  if (!Number.isFinite(logprob)) {
    row.finish = "broken";
    return;
  }
  row.tokens.push(token);
  // Sums of a truncated distribution round to just above 1.
  row.logprobs.push(Math.min(0, logprob));
  if (row.settings.stop_tokens.includes(token)) row.finish = "stop";
  else if (row.tokens.length === row.settings.max_tokens) row.finish = "length";
}

/** Whether nobody wants the rows any more; ends them if so. */
export function allCancelled(rows: readonly Row[], { cancelled }: SampleHooks): boolean {
  if (!cancelled || !rows.every(({ request }) => cancelled(request))) return false;
  for (const row of rows) row.finish ??= "cancelled";
  return true;
}

/** Whether the row draws from its most likely tokens only. */
export const isTruncated = ({ settings: { temperature, top_p = 1, top_k = 0 } }: Row): boolean =>
  temperature > 0 && (top_p < 1 || top_k > 0);

/** Heads smaller than this are read in one piece: a second product costs more than copying. */
const SMALL_HEAD = 16;
/** Whether decoding reads a cache behind the growing one. */
export const readsBehind = ({ headDim }: ModelConfig): boolean => headDim >= SMALL_HEAD;

/** Most rows of one run, and numbers in its key/value cache (1 GiB of float32). */
const ROWS_PER_RUN = 128;
const MOST_CACHE = 2 ** 28;

/** Most ranks side by side: every row pays for all of them. */
const RANKS_PER_RUN = 128;

/** The rows of policies whose adapters run together, in the policies' order. */
function byAdapters(rows: readonly Row[]): Row[][] {
  const groups: { rows: Row[]; ranks: number }[] = [];
  for (const [policy, own] of Map.groupBy(rows, (row) => row.policy)) {
    const rank = policy.spec.lora?.rank ?? 0;
    const last = groups.at(-1);
    if (last && last.ranks + rank <= RANKS_PER_RUN) {
      last.rows.push(...own);
      last.ranks += rank;
    } else groups.push({ rows: own, ranks: rank });
  }
  return groups.map((group) => group.rows);
}

/** Rows that run together: on the same weights, of one padded length, as many as memory allows. */
export function batchesOf(rows: readonly Row[]): Row[][] {
  const kinds = Map.groupBy(rows, ({ policy }) => policy.base ?? policy);
  return [...kinds.values()].flatMap(byAdapters).flatMap((kind) => {
    const { layers, kvHeads, headDim } = kind[0]!.policy.spec.config;
    const forms = Map.groupBy(kind, (row) => `${promptBucket(row.prompt.length)} ${row.group}`);
    return [...forms.values()].flatMap((form) => {
      // Completions of one prompt beside each other.
      const bucket = [...Map.groupBy(form, promptKey).values()].flat();
      const [{ group, prompt }] = bucket as [Row];
      const width = promptBucket(prompt.length);
      const length = width + Math.max(...bucket.map(({ settings }) => settings.max_tokens));
      const most = Math.floor(MOST_CACHE / (2 * layers * kvHeads * headDim * length));
      const groups = Math.floor(Math.min(ROWS_PER_RUN, most) / group);
      const size = group * Math.max(1, groups);
      const count = Math.ceil(bucket.length / size);
      return Array.from({ length: count }, (_, i) => bucket.slice(i * size, (i + 1) * size));
    });
  });
}

/** A batch in at most `count` parts of whole groups, as equal as they can be. */
export function partsOf(batch: readonly Row[], count: number): Row[][] {
  const { group } = batch[0]!;
  const groups = batch.length / group;
  const start = (part: number) => group * Math.ceil(part * groups / count);
  return Array.from({ length: count }, (_, part) => batch.slice(start(part), start(part + 1)))
    .filter((rows) => rows.length > 0);
}
