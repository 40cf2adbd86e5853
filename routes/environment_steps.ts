/**
 * The three things that are done with a stateless environment, for one request: reset, step, score.
 * Leaves out reading requests, alone (environments.ts) or in lists (environment_batches.ts).
 */
import type { z } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { LIMITS } from "../shared/wire/body.ts";
import type {
  resetRequest,
  resetResult,
  scoreRequest,
  stepRequest,
  stepResult,
} from "../shared/wire/environments.ts";
import type { Edge } from "./edge.ts";
import type { Signers } from "./signing.ts";

/** What a state token holds. */
interface StateToken {
  environment: string;
  options: Record<string, unknown>;
  task: unknown;
  state: unknown;
}

export async function resetOf(
  { createEnvironment, signers }: Edge,
  id: string,
  { task: input, seed, options }: z.output<typeof resetRequest>,
): Promise<z.output<typeof resetResult>> {
  const environment = createEnvironment(id, options);
  const { task } = environment.task(input);
  const { observations, infos, state } = await environment.reset(task, seed);
  const token: StateToken = { environment: id, options, task, state };
  const agents = [...environment.agents];
  return { agents, observations, infos, state: signed(signers, token) };
}

/** @throws CollmError `forbidden` for a state that is not one of this edge */
export async function stepOf(
  { createEnvironment, signers }: Edge,
  id: string,
  { state: token, actions }: z.output<typeof stepRequest>,
): Promise<z.output<typeof stepResult>> {
  const held = signers.state.open(token) as StateToken | undefined;
  if (!held) {
    throw new CollmError(
      "forbidden",
      `Cannot step environment '${id}': state is not a token of this edge, or it was changed`,
    );
  }
  if (held.environment !== id) {
    throw new CollmError(
      "invalid_request",
      `Cannot step environment '${id}': state is one of environment '${held.environment}'`,
    );
  }
  const environment = createEnvironment(id, held.options);
  const { state, ...result } = await environment.step(held.task, held.state, actions);
  return { ...result, state: signed(signers, { ...held, state }) };
}

/** @throws CollmError `payload_too_large` for a state that no request could hand in again */
function signed({ state: signer }: Signers, token: StateToken): string {
  const text = signer.sign(token);
  if (text.length <= LIMITS.state) return text;
  throw new CollmError(
    "payload_too_large",
    `Cannot give the state of environment '${token.environment}': with its task it has ` +
      `${text.length} bytes, more than ${LIMITS.state}`,
  );
}

export async function scoreOf(
  { createEnvironment }: Edge,
  id: string,
  { task: input, actions, options }: z.output<typeof scoreRequest>,
) {
  const environment = createEnvironment(id, options);
  const { task } = environment.task(input);
  return await environment.score(task, actions);
}
