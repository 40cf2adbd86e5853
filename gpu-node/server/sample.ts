/**
 * The verb `sample` as clients ask for it: texts as prompts, several completions of each, stop
 * texts. A stop text is found in the tokens as they come, which changes none before it; when every
 * completion has found one, drawing ends. Leaves out the messages (HTTP, WebSocket, OpenAI's).
 */
import type { z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { seedOf } from "../../shared/random.ts";
import { MOST_COMPLETIONS, type sampleAnswer, type sampleRequest } from "../../shared/wire/gpu.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { SampleRequest, SampleResult } from "../verbs.ts";
import type { Reading, ServedPolicies } from "./policies.ts";
import { type Piece, type RowText, rowText } from "./row_text.ts";

export type WireSampleRequest = z.output<typeof sampleRequest>;
export type WireSampleAnswer = z.output<typeof sampleAnswer>;

/** Tokens of a completion whose request names no number. */
const DEFAULT_TOKENS = 128;

export interface DrawOptions {
  signal?: AbortSignal | undefined;
  /** Called with what newly became certain of completion `row`. */
  onPiece?: ((row: number, piece: Piece) => void) | undefined;
  /** From when the first text of the request was read (default: now). */
  reading?: Reading;
}

/** Completions in order of their prompts, `n` of each. */
export async function sample(
  policies: ServedPolicies,
  wire: WireSampleRequest,
  { signal, onPiece, reading = policies.reading(wire.policy) }: DrawOptions = {},
): Promise<WireSampleAnswer> {
  const tokens = asTokens(policies, wire.policy, wire.prompts, signal);
  // Nothing is waited for where nothing need be: requests go to the device in the order they came.
  const prompts = Array.isArray(tokens) ? tokens : await tokens;
  const { request, rows, tokenizer, stops } = plan(policies, wire, prompts);
  const watched = stops.length > 0 || onPiece !== undefined;
  const texts = watched ? rows.map(() => rowText(tokenizer, stops)) : null;
  const { completions, policy_version } = texts
    ? await watch(policies, request, texts, tokenizer !== null, { signal, onPiece, reading })
    : withTexts(await policies.node.sample(request, signal ? { signal } : {}), tokenizer);
  reading.check();
  return {
    completions: completions.map((drawn, i) => ({ ...rows[i]!, ...drawn })),
    policy_version,
  };
}

const withTexts = ({ completions, policy_version }: SampleResult, tokenizer: Tokenizer | null) => ({
  completions: completions.map((drawn) => ({
    ...drawn,
    text: tokenizer?.decode(drawn.tokens, { continuation: true }) ?? null,
  })),
  policy_version,
});

/** What the device is asked for, and what each of its rows is to the client. */
function plan(policies: ServedPolicies, wire: WireSampleRequest, prompts: number[][]) {
  const { policy, n, temperature, top_p, top_k } = wire;
  const tokenizer = policies.tokenizer(policy);
  const seeds = promptSeeds(wire);
  const rows = prompts.flatMap((_, prompt_index) =>
    Array.from({ length: n }, (_, k) => ({
      prompt_index,
      seed: completionSeed(seeds[prompt_index]!, k),
    }))
  );
  const all = [wire.stop ?? []].flat();
  const stops = all.filter((stop) => typeof stop === "string");
  if (stops.length) policies.texts(policy);
  const request: SampleRequest = {
    policy,
    prompts: rows.map(({ prompt_index }) => prompts[prompt_index]!),
    seeds: rows.map(({ seed }) => seed),
    max_tokens: wire.max_tokens ?? policies.room(policy, prompts, DEFAULT_TOKENS),
    temperature,
    ...top_p !== undefined && { top_p },
    ...top_k !== undefined && { top_k },
    stop_tokens: [
      ...wire.stop_tokens ?? tokenizer?.eosIds ?? [],
      ...all.filter((stop) => typeof stop === "number"),
    ],
  };
  return { request, rows, tokenizer, stops };
}

/** Draws with an eye on the tokens as they come. */
async function watch(
  policies: ServedPolicies,
  request: SampleRequest,
  texts: RowText[],
  readable: boolean,
  { signal, onPiece, reading }: DrawOptions & { reading: Reading },
) {
  const parts = texts.map((): Piece[] => []);
  const take = (row: number, piece: Piece) => {
    if (piece.tokens.length === 0 && !piece.text) return;
    parts[row]!.push(piece);
    onPiece?.(row, piece);
  };
  const enough = new AbortController();
  let version: string | null = null;
  const onTokens = (row: number, tokens: readonly number[], logprobs: readonly number[]) => {
    if (reading.changed()) return enough.abort();
    // No update runs beside a sample, so the version is the one that draws.
    version ??= policies.version(request.policy);
    take(row, texts[row]!.push(tokens, logprobs));
    if (texts.every((text) => text.stopped)) enough.abort();
  };
  let result: SampleResult | null = null;
  try {
    const signals = signal ? AbortSignal.any([signal, enough.signal]) : enough.signal;
    result = await policies.node.sample(request, { onTokens, signal: signals });
  } catch (error) {
    if (!enough.signal.aborted || signal?.aborted) throw error;
  }
  reading.check();
  result?.completions.forEach(({ tokens, logprobs }, row) => {
    // A node that told nothing on the way tells all at the end.
    const { seen } = texts[row]!;
    if (seen < tokens.length) onTokens(row, tokens.slice(seen), logprobs.slice(seen));
    if (!texts[row]!.stopped) take(row, texts[row]!.flush());
  });
  return {
    completions: texts.map(({ stopped }, row) => ({
      tokens: parts[row]!.flatMap((piece) => piece.tokens),
      logprobs: parts[row]!.flatMap((piece) => piece.logprobs),
      text: readable ? parts[row]!.map((piece) => piece.text).join("") : null,
      finish_reason: stopped ? "stop" as const : result!.completions[row]!.finish_reason,
    })),
    policy_version: result?.policy_version ?? version!,
  };
}

/** Seed of a prompt's k-th completion; the first has the prompt's own. */
export const completionSeed = (seed: number, k: number): number =>
  k === 0 ? seed : seedOf("completion", seed, k);

function promptSeeds({ policy, prompts, n, seed, seeds }: WireSampleRequest): number[] {
  const wrong = seed !== undefined && seeds !== undefined
    ? "both seed and seeds are given"
    : seeds !== undefined && seeds.length !== prompts.length
    ? `${prompts.length} prompts but ${seeds.length} seeds`
    : prompts.length * n > MOST_COMPLETIONS
    ? `${prompts.length} prompts times n ${n} exceed ${MOST_COMPLETIONS} completions`
    : null;
  if (wrong !== null) {
    throw new CollmError("invalid_request", `Cannot sample policy '${policy}': ${wrong}`);
  }
  if (seeds !== undefined) return seeds;
  if (seed !== undefined) return prompts.map(() => seed);
  return [...crypto.getRandomValues(new Uint32Array(prompts.length))];
}

/** Prompts as token ids, those that are texts by the policy's tokenizer. */
export function asTokens(
  policies: ServedPolicies,
  policy: string,
  prompts: readonly (string | number[])[],
  signal: AbortSignal | undefined,
): number[][] | Promise<number[][]> {
  const texts = prompts.filter((prompt) => typeof prompt === "string");
  const options = signal ? { signal } : {};
  const encoded = texts.length ? policies.texts(policy).encode(texts, options) : [];
  const placed = (tokens: number[][]) => {
    let at = 0;
    return prompts.map((prompt) => typeof prompt === "string" ? tokens[at++]! : prompt);
  };
  return Array.isArray(encoded) ? placed(encoded) : encoded.then(placed);
}
