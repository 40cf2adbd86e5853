/**
 * OpenAI-compatible endpoints over the verb `sample`: models, completions, chat completions.
 * Token ids, seed and policy version are extra fields. Answers come in one piece.
 */
import { Hono, type z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { sampleRequest } from "../../shared/wire/gpu.ts";
import { chatRequest, completionRequest } from "../../shared/wire/openai.ts";
import { parse, readBody } from "../../shared/wire/parse.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { ServedPolicies } from "./policies.ts";
import { sample, type WireSampleRequest } from "./sample.ts";

type Drawn = Awaited<ReturnType<typeof sample>>["completions"][number];

/** Tokens of a completion whose request names no number: the default of this interface. */
const DEFAULT_TOKENS = { completions: 16, chat: 256 };

/** Whether a path belongs to this interface, whose clients read errors in its own form. */
export const isOpenAiPath = (path: string): boolean =>
  /^\/v1\/(models(\/|$)|completions$|chat\/)/.test(path);

/** Routes relative to `/v1`. */
export function openAiRoutes(policies: ServedPolicies): Hono {
  const app = new Hono();
  const started = Math.floor(Date.now() / 1000);
  const model = (id: string) => ({ id, object: "model", created: started, owned_by: "collm" });

  app.get("/models", (c) => c.json({ object: "list", data: policies.names().map(model) }));
  app.get("/models/:id", (c) => {
    policies.tokenizer(c.req.param("id"));
    return c.json(model(c.req.param("id")));
  });

  app.post("/completions", async (c) => {
    const body = await readBody(c.req, completionRequest, "completion request");
    const tokenizer = tokenizerOf(policies, body.model);
    const prompts = asTokens(body.prompt, tokenizer);
    const request = wireRequest(body, prompts, body.max_tokens ?? DEFAULT_TOKENS.completions);
    const { completions, policy_version } = await sample(policies, request);
    return c.json({
      ...envelope("cmpl", "text_completion", body.model, prompts, completions),
      choices: completions.map((drawn, index) => ({
        index,
        text: drawn.text,
        finish_reason: drawn.finish_reason,
        logprobs: typeof body.logprobs === "number" ? flatLogprobs(tokenizer, drawn) : null,
        ...extras(drawn),
      })),
      policy_version,
    });
  });

  app.post("/chat/completions", async (c) => {
    const body = await readBody(c.req, chatRequest, "chat request");
    const tokenizer = tokenizerOf(policies, body.model);
    const prompts = [tokenizer.applyChat(body.messages)];
    const most = body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_TOKENS.chat;
    const { completions, policy_version } = await sample(
      policies,
      wireRequest(body, prompts, most),
    );
    return c.json({
      ...envelope("chatcmpl", "chat.completion", body.model, prompts, completions),
      choices: completions.map((drawn, index) => ({
        index,
        message: { role: "assistant", content: drawn.text, refusal: null },
        finish_reason: drawn.finish_reason,
        logprobs: body.logprobs ? { content: listedLogprobs(tokenizer, drawn) } : null,
        ...extras(drawn),
      })),
      policy_version,
    });
  });
  return app;
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
function asTokens(
  prompt: string | number[] | (string | number[])[],
  tokenizer: Tokenizer,
): number[][] {
  const one = typeof prompt === "string" || prompt.every((x) => typeof x === "number");
  return (one ? [prompt as string | number[]] : prompt as (string | number[])[]).map((p) =>
    typeof p === "string" ? tokenizer.encode(p, { addSpecialTokens: true }) : p
  );
}

function wireRequest(
  body: z.output<typeof completionRequest> | z.output<typeof chatRequest>,
  prompts: number[][],
  max_tokens: number,
): WireSampleRequest {
  const { model: policy, n, temperature, top_p, stop, seed } = body;
  const given = { n, temperature, top_p, stop, seed };
  const set = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  return parse(
    sampleRequest,
    { policy, prompts, max_tokens, ...Object.fromEntries(set) },
    "completion request",
  );
}

function envelope(prefix: string, object: string, model: string, prompts: number[][], d: Drawn[]) {
  const prompt_tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  const completion_tokens = d.reduce((sum, drawn) => sum + drawn.tokens.length, 0);
  return {
    id: `${prefix}-${crypto.randomUUID()}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model,
    usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
  };
}

const extras = ({ tokens, seed }: Drawn) => ({ token_ids: tokens, seed });

const tokenText = (tokenizer: Tokenizer, id: number) =>
  tokenizer.decode([id], { continuation: true });

function flatLogprobs(tokenizer: Tokenizer, { tokens, logprobs }: Drawn) {
  const texts = tokens.map((id) => tokenText(tokenizer, id));
  let at = 0;
  const text_offset = texts.map((text) => {
    at += text.length;
    return at - text.length;
  });
  return { tokens: texts, token_logprobs: logprobs, top_logprobs: null, text_offset };
}

function listedLogprobs(tokenizer: Tokenizer, { tokens, logprobs }: Drawn) {
  return tokens.map((id, k) => {
    const token = tokenText(tokenizer, id);
    return {
      token,
      logprob: logprobs[k]!,
      bytes: [...new TextEncoder().encode(token)],
      top_logprobs: [],
    };
  });
}
