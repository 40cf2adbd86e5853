/**
 * A small environment for tests of the episode protocol: every agent gets a secret of its own and
 * earns the length of its text. Leaves out anything to learn.
 */
import type { Environment, PerAgent } from "../../shared/environments/environment.ts";
import { CollmError } from "../../shared/errors.ts";

export interface RelayTask {
  word: string;
}
export interface RelayState {
  turn: number;
  heard: PerAgent<string>[];
}

/** `breaks_on`: an action text that makes the step throw; `odd_on`: one that earns NaN. */
export interface RelayOptions {
  turns?: number;
  agents?: string[];
  breaks_on?: string;
  odd_on?: string;
}

export function createRelay(options: RelayOptions = {}): Environment<RelayTask, RelayState> {
  const { turns = 2, agents = ["left", "right"], breaks_on, odd_on } = options;
  const each = <T>(value: (agent: string) => T): PerAgent<T> =>
    Object.fromEntries(agents.map((agent) => [agent, value(agent)]));
  const observe = (task: RelayTask, turn: number) =>
    each((agent) => ({
      turn,
      text: `${task.word}: secret of ${agent} on turn ${turn}`,
      messages: null,
    }));
  return {
    id: "relay",
    title: "Relay",
    description: "Every agent earns the length of its text",
    agents,
    turns,
    rewardRange: [0, 1000],
    options: { turns, agents },
    splits: () => [],
    item: (_split, index) => ({ id: `item-${index}`, task: { word: `w${index}` } }),
    task: (input) => ({ id: "inline", task: input as RelayTask }),
    reset: (task, seed) => ({
      state: { turn: 1, heard: [] },
      observations: observe(task, 1),
      infos: each((agent) => ({ seed, agent })),
    }),
    step(task, state, actions) {
      if (Object.values(actions).includes(breaks_on ?? "\u0000")) throw new Error("the rope tore");
      const over = state.turn === turns;
      return {
        state: { turn: state.turn + 1, heard: [...state.heard, actions] },
        observations: over ? {} : observe(task, state.turn + 1),
        rewards: each((agent) => actions[agent] === odd_on ? NaN : actions[agent]!.length),
        terminations: each(() => over),
        truncations: each(() => false),
        infos: each(() => ({})),
        components: { longest: Math.max(...Object.values(actions).map((text) => text.length)) },
      };
    },
    score: () => ({ rewards: each(() => 0), components: {} }),
  };
}

/** Resolves "relay" with its options, and nothing else. */
export function resolveRelay(id: string, options: Record<string, unknown>): Environment {
  if (id !== "relay") {
    throw new CollmError("not_found", `Cannot find environment '${id}': known: relay`);
  }
  return createRelay(options) as Environment;
}
