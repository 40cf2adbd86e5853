/**
 * Picture of one build: what was built, which target cells stayed empty, which blocks are out of
 * place, with the word, the reward and the IoU below.
 */
import { renderWorld } from "../render.ts";
import { AIR } from "../textures.ts";
import { blockAt, positions } from "../world.ts";
import type { Build } from "./build.ts";
import { isTarget } from "./task.ts";

/** SVG document of a build; `title` stands before the word, such as "before". */
export function renderBuild({ target, world, metrics }: Build, title = ""): string {
  const cells = [...positions(target.box)];
  const filled = cells.filter((at) => blockAt(world, at) !== AIR);
  return renderWorld({
    box: target.box,
    blocks: filled.map((at) => ({
      at,
      block: blockAt(world, at),
      misplaced: !isTarget(target, at),
    })),
    empty: target.cells.filter((at) => blockAt(world, at) === AIR),
    caption: [
      title === "" ? target.word : `${title}: ${target.word}`,
      `reward ${metrics.score_total.toFixed(2)}, IoU ${(100 * metrics.iou).toFixed(0)} %`,
    ],
  });
}
