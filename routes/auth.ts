/**
 * Who may do what: the learner's token opens everything, an agent's token its own observations
 * and actions only. Where no token is configured everyone is the learner (loopback only: main.ts).
 */
import type { MiddlewareHandler } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { bearerOf, sameSecret } from "../shared/wire/bearer.ts";
import { type Edge, type EdgeVariables, episodesOf, type Principal } from "./edge.ts";

/** The only routes that an agent's token reaches; each checks the agent and the scope itself. */
const AGENT_ROUTES = [
  /^\/v1\/episodes\/[^/]+\/(observations|actions)\/[^/]+$/,
  /^\/v1\/agents\/[^/]+\/(observations|actions|stream)$/,
  /^\/v1\/runs\/[^/]+$/,
  /^\/openenv\/[^/]+\/agents\/[^/]+\/[^/]+$/,
];

/** Finds out who is asking. @throws CollmError `unauthorized`, `forbidden` */
export function authenticate(edge: Edge): MiddlewareHandler<EdgeVariables> {
  return async (c, next) => {
    const principal = principalOf(edge, c.req.raw.headers);
    if (principal.kind === "agent" && !AGENT_ROUTES.some((route) => route.test(c.req.path))) {
      throw new CollmError(
        "forbidden",
        `Cannot answer this request: the token of agent '${principal.agent}' opens its ` +
          "observations and actions only",
      );
    }
    c.set("principal", principal);
    await next();
  };
}

function principalOf({ token, signers }: Edge, headers: Headers): Principal {
  if (token === undefined) return { kind: "learner" };
  const given = bearerOf(headers);
  if (given === null) {
    throw new CollmError("unauthorized", "Cannot answer this request: its bearer token is missing");
  }
  if (sameSecret(given, token)) return { kind: "learner" };
  const scope = signers.agent.open(given) as Scope | undefined;
  if (scope) return { kind: "agent", ...scope };
  throw new CollmError("unauthorized", "Cannot answer this request: its bearer token is wrong");
}

/** What an agent's token opens; without run and episode: all runs. */
export interface Scope {
  agent: string;
  run_id: string | null;
  episode_id: string | null;
}

export const agentToken = ({ signers }: Edge, scope: Scope): string => signers.agent.sign(scope);

function refuse(what: string, why: string): never {
  throw new CollmError("forbidden", `Cannot ${what}: ${why}`);
}

function requireSelf(principal: Scope, agent: string): void {
  if (principal.agent === agent) return;
  refuse(`act as agent '${agent}'`, `this token is for agent '${principal.agent}'`);
}

/** Lets `principal` see and act as `agent` in these episodes. @throws CollmError `forbidden` */
export async function requireEpisodes(
  edge: Edge,
  principal: Principal,
  agent: string,
  ids: readonly string[],
): Promise<void> {
  if (principal.kind === "learner") return;
  requireSelf(principal, agent);
  const { run_id, episode_id } = principal;
  const other = episode_id === null ? undefined : ids.find((id) => id !== episode_id);
  if (other !== undefined) {
    refuse(`open episode '${other}'`, `this token is for episode '${episode_id}'`);
  }
  if (run_id === null) return;
  const found = await episodesOf(edge).episodes([...new Set(ids)]);
  const foreign = found.find((episode) => episode.run_id !== run_id);
  if (foreign) refuse(`open episode '${foreign.id}'`, `this token is for run '${run_id}'`);
}

/**
 * The run that `principal` may look through as `agent`: the one it asks for, or its token's.
 * @throws CollmError `forbidden`
 */
export function requireRun(
  principal: Principal,
  agent: string,
  run_id: string | null,
): string | null {
  if (principal.kind === "learner") return run_id;
  requireSelf(principal, agent);
  return requireOwnRun(principal, run_id);
}

/** As `requireRun`, for what all agents of a run share. */
export function requireOwnRun(principal: Principal, run_id: string | null): string | null {
  if (principal.kind === "learner") return run_id;
  if (principal.episode_id !== null) {
    refuse("look through a run", `this token is for episode '${principal.episode_id}'`);
  }
  if (principal.run_id !== null && run_id !== null && run_id !== principal.run_id) {
    refuse(`look through run '${run_id}'`, `this token is for run '${principal.run_id}'`);
  }
  return principal.run_id ?? run_id;
}
