/**
 * What the edge is made of: its dependencies, who is asking, and the shape of a route's answers.
 * Leaves out the routes: one noun per file beside this one.
 */
import type { OpenAPIHono } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import type { Store } from "../shared/store/connect.ts";
import type { Episodes, ResolveEnvironment } from "../shared/store/episodes.ts";
import type { EvaluationRequest } from "../shared/wire/evaluations.ts";
export { answers, body } from "../shared/wire/openapi.ts";
import type { Signers } from "./signing.ts";

/** Plays an evaluation; tells the fraction done on the way. */
export type EvaluationRunner = (
  request: EvaluationRequest,
  onProgress: (fraction: number) => void,
) => Promise<Record<string, unknown>>;

export interface EdgeDeps {
  /** `null`: an edge without a store serves the stateless routes only. */
  store: Store | null;
  episodes: Episodes | null;
  environmentIds: () => string[];
  createEnvironment: ResolveEnvironment;
  /** Key of state tokens and agent tokens: the same on every replica. */
  secret: string;
  /** Bearer token of learners and operators; absent, the API is open. */
  token?: string | undefined;
  /** `null`: hosted evaluations are not available here. */
  evaluate: EvaluationRunner | null;
  version: string;
  /** Milliseconds between looks for what other processes wrote, while a stream is open; 0: never. */
  poll_ms?: number;
  /** Most OpenEnv connections at once. */
  openenv_sessions?: number;
  log?: (line: string) => void;
}

/** Who is asking. An agent's token is for all runs, one run or one episode. */
export type Principal =
  | { kind: "learner" }
  | { kind: "agent"; agent: string; run_id: string | null; episode_id: string | null };

export interface EdgeVariables {
  Variables: { principal: Principal };
}
export type EdgeApp = OpenAPIHono<EdgeVariables>;

/** Dependencies with the key made ready. */
export interface Edge extends EdgeDeps {
  signers: Signers;
  log: (line: string) => void;
}

/** The episode protocol. @throws CollmError `unavailable` on an edge without a store */
export function episodesOf({ episodes }: Edge): Episodes {
  return episodes ?? missing("episodes");
}

/** The store. @throws CollmError `unavailable` on an edge without one */
export function storeOf({ store }: Edge): Store {
  return store ?? missing("records");
}

function missing(what: string): never {
  throw new CollmError("unavailable", `Cannot keep ${what}: this edge has no database`);
}
