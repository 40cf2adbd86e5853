/**
 * Picture of one build: what was built, which cells of the house stayed empty, which blocks are
 * wrong, with the reward and the IoU below.
 */
import { renderWorld } from "../render.ts";
import { AIR } from "../textures.ts";
import { blockAt, type Position, positions } from "../world.ts";
import type { HouseBuild } from "./build.ts";

/** SVG document of a build; `title` stands before the numbers, such as "before". */
export function renderBuild({ house, world, metrics }: HouseBuild, title = ""): string {
  const { from, to } = house.box;
  const cells = [...positions(house.box)];
  /** Pictures are seen from the greatest z, doors are at the least: the house is turned round. */
  const turned = ([x, y, z]: Position): Position => [from[0] + to[0] - x, y, from[2] + to[2] - z];
  return renderWorld({
    box: house.box,
    blocks: cells.filter((at) => blockAt(world, at) !== AIR).map((at) => ({
      at: turned(at),
      block: blockAt(world, at),
      misplaced: blockAt(world, at) !== blockAt(house, at),
    })),
    empty: cells.filter((at) => blockAt(house, at) !== AIR && blockAt(world, at) === AIR)
      .map(turned),
    caption: [
      title === "" ? "house" : title,
      `reward ${metrics.reward.toFixed(2)}, IoU ${(100 * metrics.iou).toFixed(0)} %`,
    ],
  });
}
