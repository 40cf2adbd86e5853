/**
 * Compiled programs, shared by all policies of one form: compiled on first use and kept.
 * The key is the model's form, so two agents on copies of one model use the same sessions.
 */
import type { Device, Program } from "../device.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelSpec } from "../model/spec.ts";
import { scoreGraph, valueGraph } from "./forward.ts";
import { sampleGraph, weightsAsInputs } from "./sample.ts";
import {
  applyGraph,
  gradientName,
  newName,
  type UpdateForm,
  updateGraph,
  type UpdateMode,
} from "./update.ts";

export interface UpdateProgram {
  program: Program;
  /** Parameters that the loss reaches. */
  parameters: string[];
}

/** Longest rotary table that is built, in positions. */
const MOST_POSITIONS = 32768;

export const positionsOf = (config: ModelConfig): number =>
  Math.min(config.maxPositions, MOST_POSITIONS);

/** Outputs of a training step that the host never looks at: new state, and sums of gradients. */
const isState = (output: string): boolean =>
  output.startsWith(newName("")) || output.startsWith(gradientName(""));

export class ProgramLibrary {
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(readonly device: Device) {}

  #once<T>(kind: string, spec: ModelSpec, make: () => Promise<T>): Promise<T> {
    const key = `${kind}:${spec.key}`;
    const known = this.#known.get(key) as Promise<T> | undefined;
    if (known) return known;
    const made = make();
    this.#known.set(key, made);
    return made;
  }

  /** `wide`: the vocabulary in pieces, for runs with very many logits. */
  score(spec: ModelSpec, wide: boolean): Promise<Program> {
    return this.#once(
      `score.${wide}`,
      spec,
      () => this.device.compile(scoreGraph(spec, positionsOf(spec.config), wide)),
    );
  }

  value(spec: ModelSpec): Promise<Program> {
    return this.#once(
      "value",
      spec,
      () => this.device.compile(valueGraph(spec, positionsOf(spec.config))),
    );
  }

  sample(spec: ModelSpec): Promise<Program> {
    return this.#once(
      "sample",
      spec,
      () =>
        this.device.compile(
          sampleGraph(spec, weightsAsInputs(spec.shapes), positionsOf(spec.config)),
          { spins: true },
        ),
    );
  }

  update(spec: ModelSpec, form: UpdateForm, mode: UpdateMode): Promise<UpdateProgram> {
    return this.#once(`update.${JSON.stringify(form)}.${mode}`, spec, async () => {
      const { graph, parameters } = updateGraph(spec, positionsOf(spec.config), form, mode);
      return { program: await this.device.compile(graph, { keep: isState }), parameters };
    });
  }

  /** The optimizer alone, for gradients summed over micro-batches. */
  apply(spec: ModelSpec, names: readonly string[]): Promise<Program> {
    return this.#once(
      `apply.${names.join()}`,
      spec,
      () => this.device.compile(applyGraph(spec.shapes, names), { keep: isState }),
    );
  }
}
