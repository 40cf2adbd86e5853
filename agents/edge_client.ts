/**
 * The edge as agent hosts and learners elsewhere call it: the part of the episode protocol that
 * its routes offer, over fetch. Every call may be repeated (reads, and writes under their keys),
 * so what fails in passing is tried again with the same payload, a bounded number of times.
 */
import { z } from "../deps.ts";
import { CollmError, type ErrorCode } from "../shared/errors.ts";
import type { ActionPost, ActionResult, Episodes } from "../shared/store/episodes.ts";
import { actionResults } from "../shared/wire/actions.ts";
import { callJson, type CallOptions } from "../shared/wire/call.ts";
import { openedEpisode } from "../shared/wire/episodes.ts";
import { pendingViews } from "../shared/wire/observations.ts";
import { parse } from "../shared/wire/parse.ts";
import { type RunInfo, runInfo } from "../shared/wire/runs.ts";
import { backoffMs } from "./backoff.ts";

export interface EdgeClient extends Pick<Episodes, "openEpisodes" | "pending" | "postActions"> {
  /** A run with its configuration. @throws CollmError `not_found` */
  run(id: string): Promise<RunInfo>;
}

/** A restarting edge, a proxy in front of it, a database that is away: it passes. */
const PASSING: readonly ErrorCode[] = ["unavailable", "too_many_requests", "deadline"];

/** Entries and characters of one post, well under what the edge takes. */
const MOST_ENTRIES = 256;
const MOST_CHARACTERS = 2 ** 22;

const openedList = z.object({ episodes: z.array(openedEpisode.omit({ tokens: true })) });

/**
 * @param url Address of the edge, `http://host:port`
 * @throws CollmError from every call: the edge's own, or `unavailable` when it cannot be reached
 */
export function openEdge(url: string, options: CallOptions = {}): EdgeClient {
  const base = url.replace(/\/+$/, "");
  const { token, timeoutMs = 30_000, retries = 4 } = options;
  const call = async <S extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: S,
    body?: unknown,
  ): Promise<z.output<S>> => {
    for (let failures = 0;;) {
      try {
        const answer = await callJson(method, base + path, body, { token, timeoutMs, retries: 0 });
        return parse(schema, answer, `the answer of ${base}${path}`, "unavailable");
      } catch (error) {
        if (!(error instanceof CollmError) || !PASSING.includes(error.code)) throw error;
        if (failures++ >= retries) throw error;
        await new Promise((resume) => setTimeout(resume, backoffMs(failures)));
      }
    }
  };

  return {
    async openEpisodes(specs) {
      const opened = [];
      for (const batch of batches(specs, () => "")) {
        opened.push(...(await call("POST", "/v1/episodes", openedList, batch)).episodes);
      }
      return opened;
    },
    async pending(agent, run_id, limit) {
      const query = new URLSearchParams({ limit: String(limit) });
      if (run_id !== null) query.set("run_id", run_id);
      const path = `/v1/agents/${encodeURIComponent(agent)}/observations?${query}`;
      return (await call("GET", path, pendingViews)).observations;
    },
    async postActions(posts) {
      const results: ActionResult[] = [];
      for (const batch of batches(posts, ({ agent }) => agent)) {
        const agent = batch[0]!.agent;
        const path = `/v1/agents/${encodeURIComponent(agent)}/actions`;
        const answer = await call("POST", path, actionResults, batch.map(actionOf));
        results.push(...answer.results.map(resultOf));
      }
      return results;
    },
    run: (id) => call("GET", `/v1/runs/${encodeURIComponent(id)}`, runInfo),
  };
}

/** The agent is in the path: posts of one batch are of one agent. */
const actionOf = ({ agent: _, ...action }: ActionPost) => action;

type WireResult = z.output<typeof actionResults>["results"][number];

function resultOf(result: WireResult): ActionResult {
  if (result.status !== "error") {
    const { reward, ...rest } = result;
    return reward === undefined ? rest : { ...rest, reward };
  }
  const { code, detail } = result.error;
  return { status: "error", error: new CollmError(code, detail) };
}

/** In order, cut by count, size and key. */
function* batches<T>(entries: readonly T[], keyOf: (entry: T) => string): Generator<T[]> {
  let batch: T[] = [];
  let characters = 0;
  for (const entry of entries) {
    const size = JSON.stringify(entry).length;
    const full = batch.length === MOST_ENTRIES || characters + size > MOST_CHARACTERS;
    if (batch.length > 0 && (full || keyOf(batch[0]!) !== keyOf(entry))) {
      yield batch;
      [batch, characters] = [[], 0];
    }
    batch.push(entry);
    characters += size;
  }
  if (batch.length > 0) yield batch;
}
