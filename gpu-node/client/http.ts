/**
 * The GPU node on another host: the verbs over HTTP. Every call may be repeated (reading verbs are
 * pure, an update carries its write key), so failed connections are tried again a few times; errors
 * come back as the CollmError of the server. Folders stay on this machine: `load` of a path brings
 * its files to the server, `save` fetches what the server saved.
 */
import { resolve } from "node:path";
import type { z } from "../../deps.ts";
import {
  nodeHealth,
  policyInfo,
  policyList,
  sampleAnswer,
  savedCheckpoint,
  scoreAnswer,
  updateAnswer,
  valuesAnswer,
} from "../../shared/wire/gpu.ts";
import { callJson, type CallOptions } from "../../shared/wire/call.ts";
import { parse } from "../../shared/wire/parse.ts";
import { downloadCheckpoint, folderUnder, isFolder, uploadCheckpoint } from "./checkpoint.ts";
import type { GpuNode, SampleResult, ScoreOptions, Sequence, ValueSequence } from "../verbs.ts";

/**
 * @param url Address of the server, `http://host:port`
 * @throws CollmError from every verb: the server's own, or `unavailable` when it cannot be reached
 */
export function openHttpNode(url: string, options: CallOptions = {}): GpuNode {
  const base = url.replace(/\/+$/, "");
  const call = async <S extends z.ZodType>(
    method: string,
    path: string,
    schema: S,
    body?: unknown,
    more: CallOptions = {},
  ): Promise<z.output<S>> => {
    const answer = await callJson(method, base + path, body, { ...options, ...more });
    return parse(schema, answer, `the answer of ${base}${path}`, "unavailable");
  };
  const remove = (path: string, more: CallOptions = {}) =>
    callJson("DELETE", base + path, undefined, { ...options, ...more });

  /** Folders of this machine by the ids that they have on the server. */
  const brought = new Map<string, string>();
  async function sourceThere(source: string): Promise<string> {
    if (!isFolder(source)) return source;
    const id = await uploadCheckpoint(base, source, options);
    brought.set(id, resolve(source));
    return id;
  }

  return {
    health: () => call("GET", "/health", nodeHealth),
    async load(request) {
      const source = await sourceThere(request.source);
      const under = request.base ?? folderUnder(request.source);
      return await call("POST", "/v1/policies", policyInfo, {
        ...request,
        source,
        ...under !== undefined && { base: await sourceThere(under) },
      });
    },
    list: async () => (await call("GET", "/v1/policies", policyList)).policies,
    async sample(request, { onTokens, signal } = {}) {
      const result = resultOf(await call("POST", "/v1/sample", sampleAnswer, request, { signal }));
      // An answer in one piece; the WebSocket client tells tokens as they come.
      result.completions.forEach((c, row) => onTokens?.(row, c.tokens, c.logprobs));
      return result;
    },
    score: (policy, sequences, { signal, ...more } = {}) =>
      call("POST", "/v1/score", scoreAnswer, scoreBody(policy, sequences, more), { signal }),
    values: (policy, sequences, { signal } = {}) =>
      call("POST", "/v1/values", valuesAnswer, valuesBody(policy, sequences), { signal }),
    update: (request, { signal } = {}) =>
      call("POST", "/v1/update", updateAnswer, request, { signal }),
    async save(policy, folder, { state = false, form } = {}) {
      const { id, files, created } = await call("POST", "/v1/checkpoints", savedCheckpoint, {
        policy,
        ...form && { form },
      });
      await downloadCheckpoint(base, { id, files }, folder, { ...options, state, brought });
      // Fetched only to be here: one that someone else keeps on the server stays.
      if (created) await remove(`/v1/checkpoints/${id}`);
    },
    async unload(policy) {
      // Not repeated: after a lost answer the policy would be missing.
      await remove(`/v1/policies/${encodeURIComponent(policy)}`, { retries: 0 });
    },
    // The server and its policies live on.
    close: () => Promise.resolve(),
  };
}

/** A verb's answer without what only outside clients need. */
export const resultOf = (answer: z.output<typeof sampleAnswer>): SampleResult => ({
  completions: answer.completions.map(({ tokens, logprobs, finish_reason }) => ({
    tokens,
    logprobs,
    finish_reason,
  })),
  policy_version: answer.policy_version,
});

// Callers may hand in more than the verb reads; the server refuses what it does not know.
export const scoreBody = (
  policy: string,
  sequences: readonly Sequence[],
  { alternatives }: ScoreOptions = {},
) => ({
  policy,
  ...alternatives && { alternatives },
  sequences: sequences.map(({ tokens, prompt_length }) => ({ tokens, prompt_length })),
});
export const valuesBody = (policy: string, sequences: readonly ValueSequence[]) => ({
  policy,
  sequences: sequences.map(({ tokens, read_at }) => ({ tokens, read_at })),
});
