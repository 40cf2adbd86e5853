/**
 * What agents are told from turn 2 on, as facts; the wording is in prompts.ts.
 * score_feedback: the reward alone. position_feedback: the whole target. perfect_feedback: every
 * wrong cell, dealt out among the agents. position_modification: the first wrong cells, the same
 * for all. rect_modification: rectangles with a wrong cell, the lower layers for the first agent
 * and the upper ones for the last. resource_schedule: rectangles that fit what an agent had left.
 */
import { AIR } from "../textures.ts";
import type { Command } from "../parse.ts";
import { blockAt, boxSize, positions, readingOrder, type World } from "../world.ts";
import { area, type Rectangle, rectangles } from "./rectangles.ts";
import { type House, resourceLimits } from "./task.ts";

export const FEEDBACK_MODES = [
  "score_feedback",
  "position_feedback",
  "perfect_feedback",
  "position_modification",
  "rect_modification",
  "resource_schedule",
] as const;
export type FeedbackMode = typeof FEEDBACK_MODES[number];

/** A cell and the block that belongs there. */
export type Wanted = readonly [x: number, y: number, z: number, block: string];

/** All cells of the house but air, in reading order. */
export function targetCells(house: House): Wanted[] {
  return cellsOf(house).filter(([, , , block]) => block !== AIR);
}

/** Cells that do not hold their block, in reading order; a cell that must be cleared wants air. */
export function wrongCells(house: House, world: World): Wanted[] {
  return cellsOf(house).filter(([x, y, z, block]) => blockAt(world, [x, y, z]) !== block);
}

/** Wrong cells of one agent: every agent may write every block, so they are dealt out in turn. */
export function ownWrongCells(wrong: readonly Wanted[], agent: number, agents: number): Wanted[] {
  return wrong.filter((_, index) => index % agents === agent);
}

/** The first `limit` wrong cells, from the lowest layer up. */
export function firstWrongCells(wrong: readonly Wanted[], limit: number): Wanted[] {
  const upwards = [...wrong].sort((a, b) => a[1] - b[1] || a[0] - b[0] || a[2] - b[2]);
  return upwards.slice(0, limit);
}

/** Rectangles with a wrong cell by layer, x, z: at most `limit` of an agent's own layers. */
export function wrongRectangles(
  house: House,
  world: World,
  layers: readonly [least: number, greatest: number],
  limit: number,
): Rectangle[] {
  return touched(house, world)
    .filter(({ y }) => y >= layers[0] && y <= layers[1])
    .sort(byPlace)
    .slice(0, limit);
}

/**
 * Layers that an agent mends: the first agent those up to a middle one, the others from it up.
 * @param middle The layer both see; the published one is y = 2.
 */
export function ownLayers(
  { box }: House,
  agent: number,
  agents: number,
  middle = middleLayer(box.from[1], boxSize(box)[1]),
): [least: number, greatest: number] {
  const [bottom, top] = [box.from[1], box.to[1]];
  if (agents === 1) return [bottom, top];
  return agent === 0 ? [bottom, middle] : [middle, top];
}

/** Advice within what an agent had left after its commands. */
export interface Schedule {
  /** Largest first; the last one may be a part of a rectangle that does not fit. */
  rectangles: Rectangle[];
  /** What whole rectangles leave over, per block of the house. */
  remaining: Record<string, number>;
}

/**
 * Advice to one agent.
 * @param world Only rectangles with a wrong cell in it are advised; null: all, as published.
 * @param commands The agent's own, which have spent some of its resources.
 */
export function schedule(
  house: House,
  world: World | null,
  commands: readonly Command[],
  agents: number,
): Schedule {
  const remaining = resourceLimits(house, agents);
  for (const command of commands) {
    if (command.verb !== "fill" || !(command.block in remaining)) continue;
    const [width, height, depth] = boxSize(command.box);
    remaining[command.block]! -= width * height * depth;
  }
  const candidates = (world ? touched(house, world) : [...rectangles(house)]).filter(({ block }) =>
    block !== AIR
  )
    .sort((a, b) => area(b) - area(a) || byPlace(a, b));
  const chosen: Rectangle[] = [];
  const rest: Rectangle[] = [];
  for (const rectangle of candidates) {
    if (area(rectangle) <= remaining[rectangle.block]!) {
      remaining[rectangle.block]! -= area(rectangle);
      chosen.push(rectangle);
    } else rest.push(rectangle);
  }
  const parts = rest.map((rectangle) => largestPart(rectangle, remaining[rectangle.block]!));
  const best = parts.reduce((most, part) => area(part) > area(most) ? part : most, NO_PART);
  return { rectangles: best === NO_PART ? chosen : [...chosen, best], remaining };
}

/** The previous reward as agents are told it. */
export function rewardText(reward: number): string {
  return reward.toFixed(4);
}

const NO_PART: Rectangle = { y: 0, x1: 0, z1: 0, x2: -1, z2: -1, block: AIR };

/** The largest part with the same first corner and at most `cells` cells; the widest of those. */
function largestPart(rectangle: Rectangle, cells: number): Rectangle {
  const { x1, z1, x2, z2 } = rectangle;
  let best = NO_PART;
  for (let width = Math.min(x2 - x1 + 1, cells); width > 0; width--) {
    const depth = Math.min(z2 - z1 + 1, Math.floor(cells / width));
    const part = { ...rectangle, x2: x1 + width - 1, z2: z1 + depth - 1 };
    if (area(part) > area(best)) best = part;
  }
  return best;
}

function touched(house: House, world: World): Rectangle[] {
  return rectangles(house).filter(({ y, x1, z1, x2, z2, block }) => {
    for (let z = z1; z <= z2; z++) {
      for (let x = x1; x <= x2; x++) if (blockAt(world, [x, y, z]) !== block) return true;
    }
    return false;
  });
}

/** The published middle, y = 2 of seven layers, for houses of other heights. */
function middleLayer(bottom: number, height: number): number {
  return bottom + Math.floor((height - 1) / 3);
}

function byPlace(a: Rectangle, b: Rectangle): number {
  return a.y - b.y || a.x1 - b.x1 || a.z1 - b.z1;
}

/** Every cell of the house, air as well, in reading order. */
function cellsOf(house: House): Wanted[] {
  return readingOrder([...positions(house.box)]).map((at) => [...at, blockAt(house, at)]);
}
