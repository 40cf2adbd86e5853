/**
 * An environment that another edge serves: the same functions over its stateless routes
 * (`http://host/v1/environments/ID`), with its options. What it is like is asked when it is
 * loaded, since creating an environment waits for nothing. Leaves out OpenEnv (remote_openenv.ts).
 */
import { canonicalJson, hashOf } from "../store/canonical.ts";
import { CollmError } from "../errors.ts";
import { callJson, type CallOptions } from "../wire/call.ts";
import { itemPage } from "../wire/environment_items.ts";
import { environmentInfo, resetResult, scoreResult, stepResult } from "../wire/environments.ts";
import { parse } from "../wire/parse.ts";
import type { z } from "../../deps.ts";
import type { Environment, PerAgent } from "./environment.ts";
import { show } from "./options.ts";

type Info = z.output<typeof environmentInfo>;
type Options = Record<string, unknown>;

/** A task: given by value, by the id that the edge knows, or by its place in a split. */
export type RemoteTask =
  | { task: string | Record<string, unknown> }
  | { split: string; index: number };

/** Whether an address is that of an environment on an edge of ours. */
export const isEdgeEnvironment = (url: string): boolean =>
  /^https?:\/\/.*\/v1\/environments\/[^/?#]+\/?$/.test(url);

/** Environments of one address, by their options: those that were asked about. */
export class RemoteEnvironment {
  readonly #known = new Map<string, Info>();
  readonly #url: string;

  constructor(url: string, readonly id: string, private readonly call: CallOptions) {
    this.#url = url.replace(/\/+$/, "");
  }

  /** Asks what the environment is like with these options. */
  async describe(options: Options): Promise<void> {
    const query = new URLSearchParams({ options: JSON.stringify(options) });
    const info = await this.#ask("GET", `?${query}`, undefined, environmentInfo);
    // Episodes name the options with all defaults filled in.
    for (const key of [options, info.options]) this.#known.set(canonicalJson(key), info);
  }

  /** @throws CollmError `invalid_request` for options that were not asked about */
  create(options: Options): Environment<RemoteTask, string> {
    const info = this.#known.get(canonicalJson(options));
    if (!info) {
      throw new CollmError(
        "invalid_request",
        `Cannot create environment '${this.id}' with options ${show(options)}: this process ` +
          "plays it with the options that it was started with",
      );
    }
    const inputOf = async (task: RemoteTask) => {
      if ("task" in task) return task.task;
      const query = new URLSearchParams({
        ...{ first: String(task.index), limit: "1" },
        options: JSON.stringify(info.options),
      });
      const path = `/splits/${encodeURIComponent(task.split)}/items?${query}`;
      const { items: [item] } = await this.#ask("GET", path, undefined, itemPage);
      // By its id: an edge need not take its tasks by value.
      if (item) return item.id;
      throw new CollmError(
        "not_found",
        `Cannot find item ${task.index} of split '${task.split}' at ${this.#url}`,
      );
    };
    return {
      id: this.id,
      title: info.title,
      description: info.description,
      agents: info.agents,
      turns: info.turns,
      rewardRange: info.reward_range,
      options: info.options,
      splits: () => info.splits,
      item: (split, index) => ({ id: `${this.id}_${split}_${index}`, task: { split, index } }),
      task: (input) => this.#taskOf(input, info),
      reset: async (task, seed) => {
        const body = { task: await inputOf(task), seed, options: info.options };
        const begun = await this.#ask("POST", "/reset", body, resetResult);
        this.#forEvery(info.agents, "observation", begun.observations);
        return begun;
      },
      step: async (_task, state, actions) => {
        const result = await this.#ask("POST", "/step", { state, actions }, stepResult);
        this.#forEvery(info.agents, "reward", result.rewards);
        this.#forEvery(info.agents, "termination", result.terminations);
        this.#forEvery(info.agents, "truncation", result.truncations);
        const ended = Object.keys(result.observations).length === 0;
        if (!ended) this.#forEvery(info.agents, "observation", result.observations);
        return result;
      },
      score: async (task: RemoteTask, actions: PerAgent<string>) => {
        const body = { task: await inputOf(task), actions, options: info.options };
        const result = await this.#ask("POST", "/score", body, scoreResult);
        this.#forEvery(info.agents, "reward", result.rewards);
        return result;
      },
    };
  }

  #taskOf(input: unknown, { splits }: Info): { id: string; task: RemoteTask } {
    if (typeof input === "string") {
      const split = splits.find(({ name }) => input.startsWith(`${this.id}_${name}_`));
      const index = split && input.slice(`${this.id}_${split.name}_`.length);
      return index !== undefined && /^\d{1,15}$/.test(index)
        ? { id: input, task: { split: split!.name, index: Number(index) } }
        : { id: input, task: { task: input } };
    }
    const task = input as Record<string, unknown>;
    return { id: `inline-${hashOf(task).slice(0, 16)}`, task: { task } };
  }

  /** Refuses an answer that is silent about an agent: it would be learnt from as if it were whole. */
  #forEvery(agents: readonly string[], what: string, given: PerAgent<unknown>): void {
    const missing = agents.find((agent) => !Object.hasOwn(given, agent));
    if (missing === undefined) return;
    throw new CollmError(
      "unavailable",
      `Cannot use the answer of ${this.#url}: it has no ${what} of agent '${missing}'`,
    );
  }

  async #ask<S extends z.ZodType>(
    method: string,
    path: string,
    body: unknown,
    schema: S,
  ): Promise<z.output<S>> {
    const url = this.#url + path;
    const answer = await callJson(method, url, body, this.call);
    return parse(schema, answer, `the answer of ${this.#url}`, "unavailable");
  }
}
