/**
 * Decoding programs whose weights are constants: the runtime packs them once for its products,
 * instead of in every product of every step. One version of each set of weights is kept; an update
 * brings another, and packing it costs less than the update did.
 */
import type { Program } from "../device.ts";
import { type Base, type Weights, weightsOf } from "../policy.ts";
import type { DecodeForm } from "../program/decode.ts";
import { parametersOf, type ProgramLibrary } from "../program/library.ts";
import { weightsAsConstants } from "../program/weights.ts";
import { bareSpec } from "./spec.ts";

/** Numbers of weights between which packing pays: below, the graph itself is what costs. */
const [FEWEST, MOST] = [1 << 22, 125_000_000];

type Owner = Base | Weights;

interface Packed {
  version: string;
  programs: Map<string, Program>;
}

export class PackedDecoders {
  readonly #packed = new Map<Owner, Packed>();

  constructor(readonly library: ProgramLibrary) {}

  /** The program for a policy, or null where its weights are better fed to it as inputs. */
  async get(policy: Weights, form: DecodeForm): Promise<Program | null> {
    const spec = bareSpec(policy.spec);
    const size = parametersOf(spec);
    const { device } = this.library;
    if (device.name !== "cpu" || size < FEWEST || size > MOST) return null;
    const owner = policy.base ?? policy;
    let packed = this.#packed.get(owner);
    if (packed?.version !== owner.version) {
      await this.#release(owner);
      this.#packed.set(owner, packed = { version: owner.version, programs: new Map() });
    }
    const key = `${JSON.stringify(form)} ${spec.key}`;
    const known = packed.programs.get(key);
    if (known) return known;
    const weights = weightsOf(policy);
    const source = weightsAsConstants(spec.shapes, (name) => weights[name]!.data as Float32Array);
    const program = await this.library.compileDecode(spec, form, source);
    packed.programs.set(key, program);
    return program;
  }

  /** Frees what belongs to none of these. */
  async keepOnly(owners: ReadonlySet<unknown>): Promise<void> {
    for (const owner of [...this.#packed.keys()]) {
      if (!owners.has(owner)) await this.#release(owner);
    }
  }

  async #release(owner: Owner): Promise<void> {
    const programs = this.#packed.get(owner)?.programs.values() ?? [];
    this.#packed.delete(owner);
    for (const program of programs) await program.release();
  }
}
