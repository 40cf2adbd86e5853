/**
 * Times the episode log on a `file:` database: opening 64 two-agent episodes, reading their 128
 * observations, posting their 128 actions with steps and completions. Leaves out the policies.
 */
import { openStore } from "../shared/store/connect.ts";
import { createEpisodes } from "../shared/store/episodes.ts";
import { median } from "./shapes.ts";
import { resolveRelay } from "../tests/support/relay.ts";

export interface StoreBench {
  episodes: number;
  /** Medians over the repeats, in milliseconds. */
  open_ms: number;
  observe_ms: number;
  post_ms: number;
  transcripts_ms: number;
  /** The first three together. */
  walk_ms: number;
}

/** Walks `episodes` one-turn episodes `repeats` times; tokens per action as a real policy's. */
export async function benchStore(
  { episodes = 64, repeats = 15, tokens = 80 } = {},
): Promise<StoreBench> {
  const folder = await Deno.makeTempDir({ prefix: "collm-bench-" });
  const store = await openStore(`file:${folder}/store.db`);
  try {
    const log = await createEpisodes(store, resolveRelay);
    const agents = ["left", "right"];
    const times: Record<"open" | "observe" | "post" | "transcripts" | "walk", number[]> = {
      ...{ open: [], observe: [], post: [], transcripts: [], walk: [] },
    };
    for (let repeat = 0; repeat < repeats; repeat++) {
      const ids = Array.from({ length: episodes }, (_, i) => `e${repeat}-${i}`);
      const posts = ids.flatMap((episode_id) =>
        agents.map((agent) => ({
          ...{ episode_id, turn: 1, agent, text: "/setblock 1 2 0 stone\n".repeat(tokens / 10) },
          prompt_tokens: Array.from({ length: 24 }, (_, i) => i),
          tokens: Array.from({ length: tokens }, (_, i) => i * 7),
          logprobs: Array.from({ length: tokens }, (_, i) => -Math.sqrt(i + repeat)),
          ...{ policy_version: "v1", sampling: { temperature: 1 }, seed: repeat },
        }))
      );
      const marks = [performance.now()];
      await log.openEpisodes(ids.map((id) => ({
        ...{ id, run_id: null, environment: "relay", options: { turns: 1 }, item_id: "item-1" },
        ...{ task: { word: "w1" }, seed: repeat, purpose: "train", policy_versions: null },
        turn_seeds: null,
        stop_above: null,
        deadline_at: null,
      })));
      marks.push(performance.now());
      for (const agent of agents) await log.observations(agent, ids);
      marks.push(performance.now());
      await log.postActions(posts);
      marks.push(performance.now());
      await log.transcripts(ids);
      marks.push(performance.now());
      const spent = marks.slice(1).map((mark, i) => mark - marks[i]!);
      (["open", "observe", "post", "transcripts"] as const).forEach((name, i) =>
        times[name].push(spent[i]!)
      );
      times.walk.push(marks[3]! - marks[0]!);
    }
    return {
      episodes,
      open_ms: median(times.open),
      observe_ms: median(times.observe),
      post_ms: median(times.post),
      transcripts_ms: median(times.transcripts),
      walk_ms: median(times.walk),
    };
  } finally {
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) console.log(JSON.stringify(await benchStore()));
