/**
 * Compiled programs, shared by all policies of one form: compiled on first use and kept while a
 * policy has that form, and a few forms longer. The key is the model's form, so two agents on copies of one model use the same sessions.
 */
import type { Device, Program } from "../device.ts";
import { positionsOf } from "../model/rope.ts";
import type { ModelSpec } from "../model/spec.ts";
import { joinGraph, rowsGraph } from "./cache.ts";
import { type DecodeForm, decodeGraph } from "./decode.ts";
import { alternativesGraph, scoreGraph, valueGraph } from "./forward.ts";
import { type PrefillForm, prefillGraph } from "./prefill.ts";
import {
  applyGraph,
  gradientName,
  newName,
  type UpdateForm,
  updateGraph,
  type UpdateMode,
} from "./update.ts";
import { weightsAsInputs, type WeightSource } from "./weights.ts";

/** Number of weights. */
export const parametersOf = ({ shapes }: ModelSpec): number =>
  [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

export interface UpdateProgram {
  program: Program;
  /** Parameters that the loss reaches. */
  parameters: string[];
}

/** Outputs of a training step that the host never looks at: new state, and sums of gradients. */
const isState = (output: string): boolean =>
  output.startsWith(newName("")) || output.startsWith(gradientName(""));

/** Forms without a policy whose programs stay: who loads one again and again compiles it once. */
const IDLE_FORMS = 4;

export class ProgramLibrary {
  /** By form, the one used last at the end, then by kind. */
  readonly #forms = new Map<string, Map<string, Promise<Program | UpdateProgram>>>();

  constructor(readonly device: Device) {}

  #once<T extends Program | UpdateProgram>(
    kind: string,
    { key }: ModelSpec,
    make: () => Promise<T>,
  ): Promise<T> {
    const programs = this.#forms.get(key) ?? new Map<string, Promise<Program | UpdateProgram>>();
    this.#forms.delete(key);
    this.#forms.set(key, programs);
    const known = programs.get(kind) as Promise<T> | undefined;
    if (known) return known;
    const made = make();
    programs.set(kind, made);
    // What could not be compiled may be another time, with more memory.
    made.catch(() => programs.delete(kind));
    return made;
  }

  /** Releases the programs of all other forms but the few that were used last. */
  async keepOnly(specs: readonly ModelSpec[]): Promise<void> {
    const wanted = new Set(specs.map(({ key }) => key));
    const others = [...this.#forms.keys()].filter((key) => !wanted.has(key));
    for (const key of others.slice(0, -IDLE_FORMS)) {
      const programs = [...this.#forms.get(key)!.values()];
      this.#forms.delete(key);
      for (const made of programs) {
        const found = await made.catch(() => null);
        if (found) await ("program" in found ? found.program : found).release();
      }
    }
  }

  /** `wide`: the vocabulary in pieces, for runs with very many logits. */
  score(spec: ModelSpec, wide: boolean): Promise<Program> {
    return this.#once(
      `score.${wide}`,
      spec,
      () => this.device.compile(scoreGraph(spec, positionsOf(spec.config), wide)),
    );
  }

  alternatives(spec: ModelSpec): Promise<Program> {
    return this.#once(
      "alternatives",
      spec,
      () => this.device.compile(alternativesGraph(spec, positionsOf(spec.config))),
    );
  }

  value(spec: ModelSpec): Promise<Program> {
    return this.#once(
      "value",
      spec,
      () => this.device.compile(valueGraph(spec, positionsOf(spec.config))),
    );
  }

  prefill(spec: ModelSpec, form: PrefillForm): Promise<Program> {
    const source = weightsAsInputs(spec);
    return this.#once(
      `prefill.${JSON.stringify(form)}`,
      spec,
      () =>
        this.device.compile(prefillGraph(spec, source, positionsOf(spec.config), form), {
          keep: () => true,
        }),
    );
  }

  decode(spec: ModelSpec, form: DecodeForm): Promise<Program> {
    return this.#once(
      `decode.${JSON.stringify(form)}`,
      spec,
      () => this.compileDecode(spec, form, weightsAsInputs(spec)),
    );
  }

  /** Decoding with the weights from elsewhere; whoever asks for it keeps and releases it. */
  compileDecode(spec: ModelSpec, form: DecodeForm, source: WeightSource): Promise<Program> {
    return this.device.compile(decodeGraph(spec, source, positionsOf(spec.config), form), {
      spins: true,
      keep: (output) => output.includes("_after"),
    });
  }

  /** Chosen rows of the caches, and unless told otherwise the hidden states, of `pieces` runs. */
  rows(spec: ModelSpec, pieces: number, hidden = true): Promise<Program> {
    return this.#once(
      `rows.${pieces}.${hidden}`,
      spec,
      () => this.device.compile(rowsGraph(spec.config, pieces, hidden), { keep: () => true }),
    );
  }

  /** One cache behind another. */
  join(spec: ModelSpec): Promise<Program> {
    return this.#once(
      "join",
      spec,
      () => this.device.compile(joinGraph(spec.config), { keep: () => true }),
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
      () => this.device.compile(applyGraph(spec, names), { keep: isState }),
    );
  }
}
