/**
 * OpenAI-compatible endpoints over the verb `sample`: models, completions, chat completions, in
 * one piece or streamed. Token ids, seed and policy version are extra fields. What the two kinds of
 * completion look like is openai_form.ts; how they stream is openai_stream.ts.
 */
import { z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { seedOf } from "../../shared/random.ts";
import { name, sampleRequest } from "../../shared/wire/gpu.ts";
import {
  chatRequest,
  completionRequest,
  openAiAnswer,
  openAiModel,
  openAiModels,
} from "../../shared/wire/openai.ts";
import { answers, body } from "../../shared/wire/openapi.ts";
import { parse, readBody } from "../../shared/wire/parse.ts";
import { problemResponse, toProblem } from "../../shared/wire/problem.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { checkListing, listAlternatives } from "./alternatives.ts";
import { type Asked, chatForm, completionForm, errorOf, type Form } from "./openai_form.ts";
import { streamed } from "./openai_stream.ts";
import type { Reading, ServedPolicies } from "./policies.ts";
import { asTokens, sample, type WireSampleAnswer, type WireSampleRequest } from "./sample.ts";
import type { GpuHono, GpuServer } from "./server.ts";
import type { Wait } from "./wait.ts";

/** Tokens of a completion whose request names no number, as far as there is room for them. */
const DEFAULT_TOKENS = { completions: 16, chat: 256 };

/** Whether a path belongs to this interface, whose clients read errors in its own form. */
export const isOpenAiPath = (path: string): boolean =>
  /^\/v1\/(models(\/|$)|completions$|chat\/)/.test(path);

export function openAiRoutes(app: GpuHono, { policies }: GpuServer): void {
  const started = Math.floor(Date.now() / 1000);
  const model = (id: string) => ({ id, object: "model", created: started, owned_by: "collm" });
  const registry = app.openAPIRegistry;
  const tags = ["openai"];

  registry.registerPath({
    method: "get",
    path: "/v1/models",
    operationId: "listModels",
    summary: "Loaded policies as OpenAI's clients list them",
    tags,
    responses: answers(200, "Models", openAiModels),
  });
  app.get("/v1/models", (c) => c.json({ object: "list", data: policies.names().map(model) }));
  registry.registerPath({
    method: "get",
    path: "/v1/models/{id}",
    operationId: "getModel",
    summary: "One loaded policy",
    tags,
    request: { params: z.object({ id: name }) },
    responses: answers(200, "The model", openAiModel),
  });
  app.get("/v1/models/:id", (c) => {
    policies.version(c.req.param("id"));
    return c.json(model(c.req.param("id")));
  });

  registry.registerPath({
    method: "post",
    path: "/v1/completions",
    operationId: "complete",
    summary: "Completions, as OpenAI's clients ask for them",
    tags,
    request: { body: body(completionRequest) },
    responses: answers(200, "Completions, or an event stream of them", openAiAnswer),
  });
  app.post("/v1/completions", async (c) => {
    const asked = await readBody(c.req, completionRequest, "completion request");
    const tokenizer = tokenizerOf(policies, asked.model);
    const reading = policies.reading(asked.model);
    const { signal } = c.var.wait;
    const prompts = await asTokens(policies, asked.model, promptsOf(asked.prompt), signal);
    const form = completionForm(asked, prompts, tokenizer);
    const most = asked.max_tokens ??
      policies.room(asked.model, prompts, DEFAULT_TOKENS.completions);
    return await answer(policies, asked, prompts, most, form, reading, c.var.wait);
  });

  registry.registerPath({
    method: "post",
    path: "/v1/chat/completions",
    operationId: "chat",
    summary: "Chat completions, as OpenAI's clients ask for them",
    tags,
    request: { body: body(chatRequest) },
    responses: answers(200, "Completions, or an event stream of them", openAiAnswer),
  });
  app.post("/v1/chat/completions", async (c) => {
    const asked = await readBody(c.req, chatRequest, "chat request");
    const tokenizer = tokenizerOf(policies, asked.model);
    const reading = policies.reading(asked.model);
    const prompts = [await policies.texts(asked.model).chat(asked.messages, c.var.wait)];
    const form = chatForm(asked, prompts, tokenizer);
    const most = asked.max_completion_tokens ?? asked.max_tokens ??
      policies.room(asked.model, prompts, DEFAULT_TOKENS.chat);
    return await answer(policies, asked, prompts, most, form, reading, c.var.wait);
  });
}

async function answer(
  policies: ServedPolicies,
  asked: Asked,
  prompts: number[][],
  most: number,
  form: Form,
  reading: Reading,
  wait: Wait,
): Promise<Response> {
  const request = wireRequest(asked, prompts, most);
  const { alternatives: count } = form;
  if (count > 0) checkListing(request, prompts.length, most, count);
  const list = count === 0
    ? null
    : (drawn: WireSampleAnswer) =>
      listAlternatives(policies, request, prompts, drawn, count, wait.signal);
  if (asked.stream) {
    return await streamed(policies, request, form, wait, {
      ...{ reading, list },
      ...asked.stream_options,
    });
  }
  const answer = await sample(policies, request, { signal: wait.signal, reading });
  const { completions, policy_version } = answer;
  const listed = await list?.(answer) ?? [];
  return Response.json({
    ...form.head(false),
    choices: completions.map((drawn, index) => form.choice(index, drawn, listed[index])),
    usage: form.usage(completions.reduce((sum, { tokens }) => sum + tokens.length, 0)),
    policy_version,
  });
}

function tokenizerOf(policies: ServedPolicies, model: string): Tokenizer {
  const tokenizer = policies.tokenizer(model);
  if (tokenizer) return tokenizer;
  throw new CollmError(
    "invalid_request",
    `Cannot complete with policy '${model}': its folder has no tokenizer`,
  );
}

/** A flat list of token ids is one prompt, a list of texts or lists is several. */
function promptsOf(prompt: string | number[] | (string | number[])[]): (string | number[])[] {
  const one = typeof prompt === "string" || prompt.every((x) => typeof x === "number");
  return one ? [prompt as string | number[]] : prompt as (string | number[])[];
}

function wireRequest(asked: Asked, prompts: number[][], max_tokens: number): WireSampleRequest {
  const { model: policy, n, temperature, top_p, stop } = asked;
  const seed = asked.seed ?? undefined;
  // Theirs has 64 bits and a sign.
  const fits = seed === undefined || seed >= 0 && seed < 2 ** 32;
  const own = fits ? seed : seedOf("openai", String(seed));
  const given = { n, temperature, top_p, stop, seed: own };
  const set = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  return parse(
    sampleRequest,
    { policy, prompts, max_tokens, ...Object.fromEntries(set) },
    "completion request",
  );
}

export function openAiProblem(thrown: unknown): Response {
  const { headers, status } = problemResponse(thrown);
  const document = { ...toProblem(thrown), error: errorOf(thrown) };
  return new Response(JSON.stringify(document), { status, headers });
}
