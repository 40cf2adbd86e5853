/**
 * Writing documents: a compact prompt with a post, and words. A *precise* document repeats a part
 * of the post, a *random* one strings together words of any posts; either of any length, whatever
 * the prompt asks for. Posts of the evaluation split never occur.
 */
import { promptsOf } from "../../../shared/environments/writing/prompts.ts";
import { shippedPosts } from "../../../shared/environments/writing/shipped/posts.ts";
import { integerBelow } from "../../../shared/random.ts";
import { type Document, pick } from "./document.ts";

const POSTS = shippedPosts().train!;
const WORDS = { least: 2, most: 18 };

/** @param precise Share of documents that repeat a part of their post. */
export function writingDocument(random: () => number, precise: number): Document {
  const post = pick(POSTS, random);
  const count = WORDS.least + integerBelow(random, WORDS.most - WORDS.least + 1);
  const words = post.split(" ");
  const start = integerBelow(random, Math.max(1, words.length - count));
  const text = random() < precise
    ? words.slice(start, start + count)
    : Array.from({ length: count }, () => pick(pick(POSTS, random).split(" "), random));
  return {
    prompt: pick(promptsOf("tldr", post, 2, "compact"), random),
    response: text.join(" "),
  };
}
