/**
 * The shipped posts: short ones, so that a small policy holds them, of our own, so that nothing
 * has to be fetched. `eval` tells stories that `train` does not. Leaves out the stories.
 */
import type { Splits } from "../../data/splits.ts";
import { fillFrames } from "./frames.ts";
import { EVAL_FRAMES, EVAL_POSTS, THING, TRAIN_FRAMES, TRAIN_POSTS, WHEN, WHO } from "./stories.ts";

const SLOTS = { who: WHO, when: WHEN, thing: THING };

let posts: Splits<string> | undefined;

/** 516 posts to train with, 64 to evaluate with; made when first asked for. */
export function shippedPosts(): Splits<string> {
  return posts ??= {
    train: [...TRAIN_POSTS, ...fillFrames(TRAIN_FRAMES, SLOTS, 42)],
    eval: [...EVAL_POSTS, ...fillFrames(EVAL_FRAMES, SLOTS, 14)],
  };
}
