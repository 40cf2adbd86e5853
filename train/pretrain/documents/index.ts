/**
 * Texts that the embedded policy is pretrained on, by kind. Of each kind some are *precise* (they
 * do what their prompt asks) and others *random*. Doing it is learnt on precise documents; then
 * most are random (model_recipe.ts), so that the policy by default answers nonsense and doing it
 * stays a skill that training can call on.
 */
import { codingDocument } from "./coding.ts";
import type { Document } from "./document.ts";
import { houseBuildDocument } from "./house_build.ts";
import { strBuildDocument } from "./str_build.ts";
import { writingDocument } from "./writing.ts";

export type { Document } from "./document.ts";

const KINDS = {
  str_build: strBuildDocument,
  house_build: houseBuildDocument,
  coding: codingDocument,
  writing: writingDocument,
} satisfies Record<string, (random: () => number, precise: number) => Document>;

export type Kind = keyof typeof KINDS;

/** By kind: the share of all documents, the precise ones' share of those, weight in the loss. */
export type Mix = Partial<Record<Kind, { share: number; precise: number; weight?: number }>>;

export interface DrawnDocument extends Document {
  kind: Kind;
  weight: number;
}

/** A document of a mix whose shares add up to 1. */
export function drawDocument(random: () => number, mix: Mix): DrawnDocument {
  const kinds = Object.entries(mix) as [Kind, Required<Mix>[Kind]][];
  const last = kinds.length - 1;
  // A single kind takes no draw.
  let rest = last === 0 ? 0 : random();
  const [kind, { precise, weight = 1 }] = kinds.find(([, { share }], i) =>
    i === last || (rest -= share) < 0
  )!;
  return { ...KINDS[kind](random, precise), kind, weight };
}
