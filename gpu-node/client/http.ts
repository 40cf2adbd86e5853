/**
 * The GPU node on another host: the verbs over HTTP. Every call may be repeated (reading verbs are
 * pure, an update carries its write key), so failed connections are tried again a few times; errors
 * come back as the CollmError of the server. Folders stay on this machine: `load` of a path brings
 * its files to the server, `save` fetches what the server saved.
 */
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
import { downloadCheckpoint, isFolder, uploadCheckpoint } from "./checkpoint.ts";
import type { GpuNode } from "../verbs.ts";

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

  return {
    health: () => call("GET", "/health", nodeHealth),
    async load(request) {
      const source = isFolder(request.source)
        ? await uploadCheckpoint(base, request.source, options)
        : request.source;
      return await call("POST", "/v1/policies", policyInfo, { ...request, source });
    },
    list: async () => (await call("GET", "/v1/policies", policyList)).policies,
    async sample(request) {
      const answer = await call("POST", "/v1/sample", sampleAnswer, request);
      return {
        completions: answer.completions.map(({ tokens, logprobs, finish_reason }) => ({
          tokens,
          logprobs,
          finish_reason,
        })),
        policy_version: answer.policy_version,
      };
    },
    score: (policy, sequences) =>
      call("POST", "/v1/score", scoreAnswer, {
        policy,
        sequences: sequences.map(({ tokens, prompt_length }) => ({ tokens, prompt_length })),
      }),
    values: (policy, sequences) =>
      call("POST", "/v1/values", valuesAnswer, {
        policy,
        sequences: sequences.map(({ tokens, read_at }) => ({ tokens, read_at })),
      }),
    update: (request) => call("POST", "/v1/update", updateAnswer, request),
    async save(policy, folder, { state = false } = {}) {
      const { id, files, created } = await call("POST", "/v1/checkpoints", savedCheckpoint, {
        policy,
      });
      await downloadCheckpoint(base, { id, files }, folder, { ...options, state });
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
