/**
 * Messages of the OpenAI-compatible endpoints, as far as they are served: completions and chat
 * completions in one piece. Options that would change the answer and are not served are refused by
 * name; those that only label a request are taken and left unread.
 */
import { z } from "../../deps.ts";
import { MOST_COMPLETIONS, name, prompt, seed, stop, temperature } from "./gpu.ts";
import { listOf } from "./parse.ts";

const sampling = {
  model: name,
  n: z.int().min(1).max(MOST_COMPLETIONS).nullish(),
  temperature: temperature.nullish(),
  top_p: z.number().nullish(),
  stop: stop.nullish(),
  seed: seed.nullish(),
  stream: z.literal(false, { error: "false: answers come in one piece" }).nullish(),
  presence_penalty: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  logit_bias: z.strictObject({}, { error: "empty: tokens are not biased" }).nullish(),
  user: z.string().nullish(),
  metadata: z.unknown().optional(),
};

const isPrompts = (value: unknown): value is (string | number[])[] =>
  Array.isArray(value) && value.every((x) => prompt.safeParse(x).success);

export const completionRequest = z.strictObject({
  ...sampling,
  prompt: z.union([prompt, z.custom<(string | number[])[]>(isPrompts)], {
    error: "a text, a list of token ids, or a list of these",
  }),
  max_tokens: z.int().min(1).max(1_000_000).nullish(),
  /** 0: log-probabilities of the tokens drawn; alternatives to them are not computed. */
  logprobs: z.literal(0, { error: "0: alternatives to the tokens drawn are not served" }).nullish(),
  echo: z.literal(false).nullish(),
  best_of: z.literal(1).nullish(),
});

const content = z.union([
  z.string(),
  listOf(z.strictObject({ type: z.literal("text"), text: z.string() }), 1024),
], { error: "a text or a list of text parts" }).transform((parts) =>
  typeof parts === "string" ? parts : parts.map((part) => part.text).join("")
);

export const chatRequest = z.strictObject({
  ...sampling,
  messages: listOf(
    z.strictObject({ role: z.string(), content, name: z.string().optional() }),
    4096,
    1,
  ),
  max_tokens: z.int().min(1).max(1_000_000).nullish(),
  max_completion_tokens: z.int().min(1).max(1_000_000).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.literal(0, { error: "0: alternatives to the tokens drawn are not served" })
    .nullish(),
});
