/**
 * The verbs as they are served: message, answer, and what is done, in one table that HTTP and
 * WebSocket share. Leaves out listing, unloading and checkpoints, which have no body of their own.
 */
import type { z } from "../../deps.ts";
import {
  loadRequest,
  policyInfo,
  sampleAnswer,
  sampleRequest,
  scoreAnswer,
  scoreRequest,
  updateAnswer,
  updateRequest,
  valuesAnswer,
  valuesRequest,
} from "../../shared/wire/gpu.ts";
import type { ServedPolicies } from "./policies.ts";
import { type DrawOptions, sample } from "./sample.ts";
import { checkUpdate } from "./update.ts";

export interface ServedVerb<Request extends z.ZodType> {
  path: string;
  status: 200 | 201;
  summary: string;
  request: Request;
  answer: z.ZodType;
  run(
    policies: ServedPolicies,
    request: z.output<Request>,
    options: DrawOptions & { signal: AbortSignal },
  ): Promise<unknown>;
}

const verb = <Request extends z.ZodType>(served: ServedVerb<Request>) => served;

export const VERBS = {
  load: verb({
    path: "/v1/policies",
    status: 201,
    summary: "Load a policy from a model, a checkpoint or a hub; one of its name is replaced",
    request: loadRequest,
    answer: policyInfo,
    run: (policies, request, options) =>
      policies.load(request, options).catch((cause) => policies.refuseByName(cause, request)),
  }),
  sample: verb({
    path: "/v1/sample",
    status: 200,
    summary: "Draw completions of prompts",
    request: sampleRequest,
    answer: sampleAnswer,
    run: sample,
  }),
  score: verb({
    path: "/v1/score",
    status: 200,
    summary: "Log-probabilities of the tokens after each prompt",
    request: scoreRequest,
    answer: scoreAnswer,
    run: ({ node }, { policy, sequences, alternatives }, { signal }) =>
      node.score(policy, sequences, { signal, ...alternatives && { alternatives } }),
  }),
  values: verb({
    path: "/v1/values",
    status: 200,
    summary: "What the value head reads at a position of each sequence",
    request: valuesRequest,
    answer: valuesAnswer,
    run: ({ node }, { policy, sequences }, options) => node.values(policy, sequences, options),
  }),
  update: verb({
    path: "/v1/update",
    status: 200,
    summary: "One optimizer step on a batch, applied once per (policy, seq)",
    request: updateRequest,
    answer: updateAnswer,
    run(policies, request, options) {
      checkUpdate(request);
      return policies.update(request, options);
    },
  }),
};

export type VerbName = keyof typeof VERBS;
