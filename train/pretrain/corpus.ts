/**
 * Texts that the tokenizer's merges beyond the grammar come from: posts and one-line code, as in
 * the documents. Training items alone; leaves out the documents themselves (documents/).
 */
import { SMALL_SET, solutionOf } from "../../shared/environments/coding/small_set.ts";
import { shippedPosts } from "../../shared/environments/writing/shipped/posts.ts";

const POSTS = 200;
const TASKS = 100;

/** The same texts for every seed: seeds differ in weights and documents. */
export function tokenizerTexts(): string[] {
  const code = SMALL_SET.train!.slice(0, TASKS).map((task) => {
    const { first, second } = solutionOf(task)!;
    return `${task.prompt}\n${first}\n${second}\n`;
  });
  return [...shippedPosts().train!.slice(0, POSTS), ...code];
}
