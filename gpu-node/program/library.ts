/**
 * Compiled programs, shared by all policies of one shape: compiled on first use and kept.
 * The key is the configuration, so two agents on copies of one model use the same sessions.
 */
import type { Device, Program } from "../device.ts";
import type { ModelConfig } from "../model/config.ts";
import { scoreGraph, type Shapes, valueGraph } from "./forward.ts";
import { sampleGraph, weightsAsInputs } from "./sample.ts";
import { applyGraph, type LossKind, updateGraph, type UpdateMode } from "./update.ts";

export interface UpdateProgram {
  program: Program;
  /** Parameters that the loss reaches. */
  parameters: string[];
}

/** Longest rotary table that is built, in positions. */
const MOST_POSITIONS = 32768;

export const positionsOf = (config: ModelConfig): number =>
  Math.min(config.maxPositions, MOST_POSITIONS);

export class ProgramLibrary {
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(readonly device: Device) {}

  #once<T>(kind: string, config: ModelConfig, make: () => Promise<T>): Promise<T> {
    const key = `${kind}:${JSON.stringify(config)}`;
    const known = this.#known.get(key) as Promise<T> | undefined;
    if (known) return known;
    const made = make();
    this.#known.set(key, made);
    return made;
  }

  score(config: ModelConfig, shapes: Shapes): Promise<Program> {
    return this.#once(
      "score",
      config,
      () => this.device.compile(scoreGraph(config, shapes, positionsOf(config))),
    );
  }

  value(config: ModelConfig, shapes: Shapes): Promise<Program> {
    return this.#once(
      "value",
      config,
      () => this.device.compile(valueGraph(config, shapes, positionsOf(config))),
    );
  }

  sample(config: ModelConfig, shapes: Shapes): Promise<Program> {
    return this.#once(
      "sample",
      config,
      () =>
        this.device.compile(sampleGraph(config, weightsAsInputs(shapes), positionsOf(config)), {
          spins: true,
        }),
    );
  }

  update(
    config: ModelConfig,
    shapes: Shapes,
    loss: LossKind,
    mode: UpdateMode,
  ): Promise<UpdateProgram> {
    return this.#once(`update.${loss}.${mode}`, config, async () => {
      const { graph, parameters } = updateGraph(config, shapes, positionsOf(config), loss, mode);
      return { program: await this.device.compile(graph), parameters };
    });
  }

  /** The optimizer alone, for gradients summed over micro-batches. */
  apply(config: ModelConfig, shapes: Shapes, names: readonly string[]): Promise<Program> {
    return this.#once(
      `apply.${names.length}`,
      config,
      () => this.device.compile(applyGraph(shapes, names)),
    );
  }
}
