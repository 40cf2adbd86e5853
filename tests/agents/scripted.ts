/**
 * A GPU node for tests of agent hosts: completions are a fixed text and depend on prompt and seed
 * alone. It can be made to fail, to wait, and to serve HTTP. Leaves out everything but sampling.
 */
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "../../gpu-node/model/tokenizer.ts";
import type { SampleRequest, SampleResult } from "../../gpu-node/verbs.ts";
import type { CollmError } from "../../shared/errors.ts";
import { seedOf } from "../../shared/random.ts";
import { problemResponse } from "../../shared/wire/problem.ts";
import { REPOSITORY } from "../support/data.ts";

export const TOKENIZER = join(REPOSITORY, "models", "collm-tiny");

export interface ScriptedNode {
  sample(request: SampleRequest): Promise<SampleResult>;
  readonly requests: SampleRequest[];
  /** Thrown by the next calls, one each. */
  failures: CollmError[];
  /** Awaited by every call before it answers. */
  before: (request: SampleRequest) => Promise<void>;
}

/** Text that a policy answers with; what the tests expect to find in the store. */
export const answerTo = (prompt: readonly number[], seed: number): string =>
  `say ${seedOf(prompt.join(), seed) % 1000}`;

export function scriptedNode(tokenizer: Tokenizer): ScriptedNode {
  const node: ScriptedNode = {
    ...{ requests: [], failures: [], before: () => Promise.resolve() },
    async sample(request) {
      node.requests.push(request);
      await node.before(request);
      const failure = node.failures.shift();
      if (failure) throw failure;
      return {
        completions: request.prompts.map((prompt, at) => {
          const tokens = tokenizer.encode(answerTo(prompt, request.seeds[at]!));
          const logprobs = tokens.map((_, i) => -1 / (i + 3));
          return { tokens, logprobs, finish_reason: "stop" as const };
        }),
        policy_version: "v1",
      };
    },
  };
  return node;
}

/** Serves `POST /v1/sample` in the shape of the GPU node. */
export function serveNode(node: ScriptedNode): { url: string; stop(): Promise<void> } {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      try {
        const asked = await request.json() as SampleRequest;
        const { completions, policy_version } = await node.sample(asked);
        return Response.json({
          completions: completions.map((one, prompt_index) => ({
            ...{ ...one, prompt_index, text: null, seed: asked.seeds[prompt_index] },
          })),
          policy_version,
        });
      } catch (error) {
        return problemResponse(error);
      }
    },
  );
  return { url: `http://127.0.0.1:${server.addr.port}`, stop: () => server.shutdown() };
}

export const scripted = async () => {
  const tokenizer = await loadTokenizer(TOKENIZER);
  return { tokenizer, node: scriptedNode(tokenizer) };
};
