/**
 * Messages of the OpenAI-compatible endpoints, as far as they are served. Options that would change
 * the answer and are not served are refused by name; those that only label a request, or say what
 * is so anyway, are taken and left unread.
 */
import { z } from "../../deps.ts";
import { maxTokens, MOST_COMPLETIONS, name, prompt, stop, temperature, top_p } from "./gpu.ts";
import { listOf } from "./parse.ts";

const sampling = {
  model: name,
  n: z.int().min(1).max(MOST_COMPLETIONS).nullish(),
  temperature: temperature.nullish(),
  top_p: top_p.nullish(),
  stop: stop.nullish(),
  seed: z.number().refine(Number.isInteger, { error: "a whole number" }).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({
    include_usage: z.boolean().nullish(),
    include_obfuscation: z.literal(false).nullish(),
  }).nullish(),
  presence_penalty: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  logit_bias: z.strictObject({}, { error: "empty: tokens are not biased" }).nullish(),
  user: z.string().nullish(),
  metadata: z.unknown().optional(),
  store: z.boolean().nullish(),
  service_tier: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
};

/** Usage is told at the end of a stream; there is no other way to ask for it. */
const streamOptionsFit = ({ stream, stream_options }: {
  stream?: boolean | null | undefined;
  stream_options?: unknown;
}) => stream === true || !stream_options;
const unfit = { path: ["stream_options"], error: "none without stream" };

const isPrompts = (value: unknown): value is (string | number[])[] =>
  Array.isArray(value) && value.every((x) => prompt.safeParse(x).success);

export const completionRequest = z.strictObject({
  ...sampling,
  prompt: z.union([prompt, z.custom<(string | number[])[]>(isPrompts).openapi({ type: "array" })], {
    error: "a text, a list of token ids, or a list of these",
  }),
  max_tokens: maxTokens.nullish(),
  /** Log-probabilities of the tokens drawn, and of so many alternatives to each. */
  logprobs: z.int().min(0).max(5).nullish(),
  echo: z.literal(false).nullish(),
  /** So many are drawn as are answered. */
  best_of: z.int().min(1).nullish(),
  suffix: z.literal("").nullish(),
}).refine(({ best_of, n }) => (best_of ?? n ?? 1) === (n ?? 1), {
  path: ["best_of"],
  error: "the same as n",
}).refine(streamOptionsFit, unfit).openapi("CompletionRequest");

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
  max_tokens: maxTokens.nullish(),
  max_completion_tokens: maxTokens.nullish(),
  logprobs: z.boolean().nullish(),
  /** So many alternatives to each token drawn. */
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z.strictObject({ type: z.literal("text") }).nullish(),
  modalities: z.tuple([z.literal("text")]).nullish(),
  /** None are offered: an answer is text. */
  tools: z.array(z.unknown()).max(0).nullish(),
  tool_choice: z.enum(["none", "auto"]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
}).refine(streamOptionsFit, unfit).refine(
  ({ logprobs, top_logprobs }) => logprobs || !top_logprobs,
  {
    path: ["top_logprobs"],
    error: "none without logprobs",
  },
).openapi("ChatRequest");

export const openAiModel = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
}).openapi("Model");
export const openAiModels = z.object({ object: z.literal("list"), data: z.array(openAiModel) })
  .openapi("Models");

/** As in OpenAI's reference, with token_ids and seed in every choice. */
export const openAiAnswer = z.looseObject({
  id: z.string(),
  object: z.string(),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.looseObject({ index: z.int() })),
  policy_version: z.string(),
}).openapi("OpenAiAnswer");
