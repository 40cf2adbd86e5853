/**
 * An expert that proposes edits of both functions: any endpoint with OpenAI's chat completions.
 * Which endpoint is the operator's word (COLLM_EXPERT_URL, COLLM_EXPERT_TOKEN), so that no request
 * makes this process call an address of its choice.
 */
import { z } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import type { Edits } from "./feedback.ts";
import type { Report } from "./reward.ts";
import type { CodingTask } from "./task.ts";

export interface Expert {
  /** Base address, such as `https://host/v1`. */
  url: string;
  model: string;
  token?: string | undefined;
  fetch?: typeof fetch;
}

const TIMEOUT_MS = 120_000;
const MOST_TOKENS = 2048;
const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
});
const editsSchema = z.object({ aux: z.string().default(""), main: z.string().default("") });

/**
 * The operator's endpoint. @throws CollmError `invalid_request` where there is none, and what
 * `refuseOtherExpert` throws
 */
export function allowedExpert(url: string | null, model: string): Expert {
  refuseOtherExpert(url);
  const allowed = Deno.env.get("COLLM_EXPERT_URL");
  if (allowed) return { url: allowed, model, token: Deno.env.get("COLLM_EXPERT_TOKEN") };
  throw new CollmError(
    "invalid_request",
    "Cannot create a coding environment with feedback 'expert_edits': COLLM_EXPERT_URL is not set",
  );
}

/** `url` may only repeat the operator's. @throws CollmError `forbidden` for another address */
export function refuseOtherExpert(url: string | null): void {
  if (url === null || url === Deno.env.get("COLLM_EXPERT_URL")) return;
  throw new CollmError(
    "forbidden",
    `Cannot create a coding environment: expert_url '${url.slice(0, 100)}' is not that of ` +
      "COLLM_EXPERT_URL",
  );
}

/** Asks the expert about a failed or improvable joint action. @throws CollmError `unavailable` */
export async function expertEdits(
  expert: Expert,
  task: CodingTask,
  report: Report,
): Promise<Edits> {
  const url = `${expert.url.replace(/\/+$/, "")}/chat/completions`;
  const fail = (why: string): never => {
    throw new CollmError("unavailable", `Cannot get expert edits from '${url}': ${why}`);
  };
  const call = expert.fetch ?? fetch;
  const answer = await call(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...expert.token && { authorization: `Bearer ${expert.token}` },
    },
    body: JSON.stringify({
      model: expert.model,
      messages: [{ role: "user", content: question(task, report) }],
      max_tokens: MOST_TOKENS,
      temperature: 0,
    }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: Error) => fail(error.message));
  const text = await answer.text();
  if (!answer.ok) fail(`it answered ${answer.status}`);
  const content = readJson(text, answerSchema)?.choices[0]?.message.content;
  if (content === undefined) return fail("its answer is no chat completion");
  const object = content.slice(content.indexOf("{"), content.lastIndexOf("}") + 1);
  return readJson(object, editsSchema) ?? fail("its answer has no JSON object with aux and main");
}

function question({ prompt, entry_point }: CodingTask, { aux, main }: Report): string {
  return [
    "Two programmers solve a problem together: one wrote a helper function aux, the other the " +
    `main function ${entry_point}, which may call aux. Improve both.`,
    "",
    "Problem:",
    prompt.trimEnd(),
    "",
    "Helper:",
    aux || "(missing)",
    "",
    "Main function:",
    main || "(missing)",
    "",
    'Answer with one JSON object {"aux": "...", "main": "..."} that holds the full code of each ' +
    "function, and with nothing else.",
  ].join("\n");
}

function readJson<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
