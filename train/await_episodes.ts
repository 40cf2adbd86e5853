/**
 * Waits for a batch of episodes that others play, and says now and then what it waits for.
 * Deadlines end it: a host that is lost costs its episodes, not the run.
 */
import type { Episodes } from "../shared/store/episodes.ts";

/** Milliseconds between two looks, and between two notes. */
const LOOK_MS = 50;
const NOTE_MS = 30_000;

export interface Awaited {
  run: string;
  ids: readonly string[];
  /** Agents that may be waited for, in playing order. */
  agents: readonly string[];
  /** Completion-log cursor to read on from. */
  cursor: number;
  note: (text: string) => void;
  note_ms?: number;
}

/** Reads the completion log until every episode is in it; returns the cursor behind them. */
export async function awaitEpisodes(
  episodes: Pick<Episodes, "completions" | "episodes" | "failExpired" | "observations">,
  { run, ids, agents, cursor, note, note_ms = NOTE_MS }: Awaited,
): Promise<number> {
  const missing = new Set(ids);
  let noted = performance.now();
  while (missing.size > 0) {
    const entries = await episodes.completions(run, cursor, 1000);
    for (const entry of entries) {
      missing.delete(entry.episode_id);
      cursor = entry.cursor;
    }
    if (entries.length > 0 || missing.size === 0) continue;
    // A repeated batch ended before the crash, behind the cursor that was saved after it.
    for (const { id, status } of await episodes.episodes([...missing])) {
      if (status === "finished" || status === "failed") missing.delete(id);
    }
    if (missing.size === 0) break;
    await episodes.failExpired();
    if (performance.now() - noted >= note_ms) {
      noted = performance.now();
      note(await waitingFor(episodes, agents, [...missing], ids.length));
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return cursor;
}

/** Such as `Waiting for 12 of 64 episodes: agent_1 has 12 to act on`. */
async function waitingFor(
  episodes: Pick<Episodes, "observations">,
  agents: readonly string[],
  missing: readonly string[],
  all: number,
): Promise<string> {
  const due: string[] = [];
  for (const agent of agents) {
    const views = await episodes.observations(agent, missing);
    const count = views.filter(({ status }) => status === "waiting").length;
    if (count > 0) due.push(`${agent} has ${count} to act on`);
  }
  const whom = due.length > 0 ? due.join(", ") : "every agent has acted";
  return `Waiting for ${missing.length} of ${all} episodes: ${whom}`;
}
