/**
 * Picture of one build: what was built, which cells of the house stayed empty, which blocks are
 * wrong, with the reward and the IoU below.
 */
import { renderWorld } from "../render.ts";
import { AIR } from "../textures.ts";
import { blockAt, positions } from "../world.ts";
import type { HouseBuild } from "./build.ts";

/** SVG document of a build; `title` stands before the numbers, such as "before". */
export function renderBuild({ house, world, metrics }: HouseBuild, title = ""): string {
  const cells = [...positions(house.box)];
  return renderWorld({
    box: house.box,
    blocks: cells.filter((at) => blockAt(world, at) !== AIR).map((at) => ({
      at,
      block: blockAt(world, at),
      misplaced: blockAt(world, at) !== blockAt(house, at),
    })),
    empty: cells.filter((at) => blockAt(house, at) !== AIR && blockAt(world, at) === AIR),
    caption: [
      title === "" ? "house" : title,
      `reward ${metrics.reward.toFixed(2)}, IoU ${(100 * metrics.iou).toFixed(0)} %`,
    ],
  });
}
