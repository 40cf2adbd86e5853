/**
 * Filling of frames: texts with slots such as `{who}` get values in every combination, of which
 * some are drawn, always the same ones. Leaves out frames and values.
 */
import { seedOf, shuffle, uniforms } from "../../../random.ts";

/** Values by slot. */
export type Slots = Readonly<Record<string, readonly string[]>>;

/** `count` distinct fillings of every frame (or all, where there are fewer), frames in turn. */
export function fillFrames(frames: readonly string[], slots: Slots, count: number): string[] {
  const filled = frames.map((frame) => {
    const used = Object.entries(slots).filter(([slot]) => frame.includes(`{${slot}}`));
    const all = used.reduce(
      (texts, [slot, values]) =>
        texts.flatMap((text) => values.map((value) => text.replaceAll(`{${slot}}`, value))),
      [frame],
    );
    return shuffle(all, uniforms(seedOf("frames", frame))).slice(0, count);
  });
  const rounds = Math.max(...filled.map((texts) => texts.length));
  return Array.from({ length: rounds }, (_, i) => filled.flatMap((texts) => texts.slice(i, i + 1)))
    .flat().map(capitalized);
}

/** Sentences begin with a capital, also where a filled slot is first. */
function capitalized(text: string): string {
  return text.replace(/(^|[.?!] )([a-z])/g, (_, before, letter) => before + letter.toUpperCase());
}
