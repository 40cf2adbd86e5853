/**
 * The three things that are done with a stateless environment, for one request: reset, step, score.
 * Leaves out reading requests, alone (environments.ts) or in lists (environment_batches.ts).
 */
import type { z } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import type {
  resetRequest,
  resetResult,
  scoreRequest,
  stepRequest,
  stepResult,
} from "../shared/wire/environments.ts";
import type { Edge } from "./edge.ts";

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
  return { agents, observations, infos, state: signers.state.sign(token) };
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
  return { ...result, state: signers.state.sign({ ...held, state }) };
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
