/**
 * Symbolic tensors: a name, an element type and a shape whose dimensions are numbers or names.
 * Named dimensions ("batch", "time") are fixed at run time; a product of dimensions is written
 * "batch*time". Shapes are checked while the graph is built, never at run time.
 */
import { CollmError } from "../../shared/errors.ts";

/** float16 is what weights are held in; nothing computes with it (ops/elementwise.ts: widened). */
export type Dtype = "float32" | "float16" | "int32" | "int64" | "bool";
/** A dimension: a number, a name, or a product such as "batch*time". */
export type Dim = number | string;
export type Shape = readonly Dim[];

export interface Tensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

/** Throws the graph's one kind of error: a build-time mistake, with the shapes involved. */
export function shapeError(op: string, reason: string, ...tensors: Tensor[]): never {
  const shapes = tensors.map((t) => `${t.name}[${t.shape.join(",")}]`).join(" and ");
  throw new CollmError("internal", `Cannot build '${op}' on ${shapes}: ${reason}`);
}

/** Shape of elementwise operations: equal, 1 or missing dimensions broadcast. */
export function broadcastShape(op: string, a: Tensor, b: Tensor): Shape {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[a.shape.length - rank + i] ?? 1;
    const y = b.shape[b.shape.length - rank + i] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    return shapeError(op, `dimensions ${x} and ${y} differ`, a, b);
  });
}

/** Number of elements as [numeric product, sorted names]. */
export function volume(shape: Shape): [number, string[]] {
  let product = 1;
  const names: string[] = [];
  for (const dim of shape) {
    if (typeof dim === "number") product *= dim;
    else names.push(...dim.split("*"));
  }
  return [product, names.sort()];
}

/** Whether two shapes hold the same number of elements for every value of their names. */
export function sameVolume(a: Shape, b: Shape): boolean {
  const [n, names] = volume(a);
  const [m, others] = volume(b);
  return n === m && names.length === others.length && names.every((x, i) => x === others[i]);
}

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

/** `axis` as a non-negative index. */
export const axisOf = (axis: number, rank: number): number => axis < 0 ? axis + rank : axis;
