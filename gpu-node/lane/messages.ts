/**
 * What goes between the kernel's thread and a lane. Weights change hands without being
 * copied on the way: whoever gets a buffer owns it.
 */
import type { HostTensor } from "../device.ts";
import type { ModelSpec } from "../model/spec.ts";
import type { Row } from "../sample/rows.ts";
import type { SampleRequest } from "../verbs.ts";

export type Tensors = ReadonlyMap<string, HostTensor>;

/** Weights that later messages name. */
export interface HeldBase {
  source: string;
  version: string;
  parameters: Tensors;
}
export interface HeldPolicy {
  name: string;
  version: string;
  spec: ModelSpec;
  /** Version of a base held before. */
  base: string | null;
  parameters: Tensors;
}

export interface SampleWork {
  id: number;
  /** Requests by their number, and rows by that number and their place in the request. */
  requests: ReadonlyMap<number, SampleRequest>;
  rows: Pick<Row, "request" | "at">[];
  lanes: number;
  /** One 32-bit word per row, not 0 when it was given up. */
  given_up: SharedArrayBuffer;
  /** Tokens are told as they come. */
  watched: boolean;
}

export type LaneMessage =
  | { base: HeldBase }
  | { policy: HeldPolicy }
  /** Everything but these, by policies' names and bases' versions, is let go. */
  | { keep: { policies: string[]; bases: string[] } }
  | { sample: SampleWork };

/** What became of a row. */
export type DrawnRow = Pick<Row, "tokens" | "logprobs" | "finish">;

export type LaneReply =
  /** Buffers of weights that others took the place of. */
  | { policy: string; replaced: Tensors }
  | { id: number; fresh: { row: number; tokens: number[]; logprobs: number[] } }
  | { id: number; rows: DrawnRow[] }
  | { id: number; error: string };

/** What of a message changes hands. */
export const buffersOf = (tensors: Tensors): ArrayBuffer[] =>
  [...tensors.values()].map(({ data }) => data.buffer as ArrayBuffer);
