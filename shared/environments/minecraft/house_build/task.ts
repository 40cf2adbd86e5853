/**
 * The task: a box of cells with a block for each, what the team may spend, and the spiders.
 * Everything an episode depends on is in the task, the spiders' attacks as data.
 * Leaves out where houses come from (splits.ts) and reading of callers' tasks (inline.ts).
 */
import { resourceLimit } from "../limits.ts";
import { AIR } from "../textures.ts";
import { type Box, boxSize, type Position } from "../world.ts";
import { HOUSE_BLOCKS } from "./paper_houses.ts";

export interface HouseTask {
  /** Least and greatest cell of the house, both included. */
  local_bbox_from: Position;
  local_bbox_to: Position;
  /** Block of every letter of the layers. */
  inventory: Record<string, string>;
  /** By y: rows from the least z on, cells from the least x on. */
  layers_by_y: Record<string, string[]>;
  /** Most commands of the whole team in one turn. */
  max_commands: number;
  /** Whether `/fill` spends blocks of which each agent has a limited number. */
  limited_resource: boolean;
  /** Hit points that the spiders' damage is measured by. */
  player_hp: number;
  /** Damage of every spider. */
  spider_attacks: number[];
}

/** A task made ready: the target in the cell order of worlds. */
export interface House {
  box: Box;
  /** Block names, air first. */
  blocks: string[];
  /** Index of the block that belongs in each cell. */
  cells: Uint16Array;
  /** Cells per block of the house, air left out. */
  counts: Record<string, number>;
  /** Cells that are not air. */
  solid: number;
  /** Blocks that agents may write, air left out. */
  allowed: string[];
}

const ready = new WeakMap<HouseTask, House>();

/** The target of a task; a task object is read once and must not be changed afterwards. */
export function houseOf(task: HouseTask): House {
  let house = ready.get(task);
  if (!house) ready.set(task, house = readHouse(task));
  return house;
}

/** Cells of each kind that one agent may spend by `/fill`. */
export function resourceLimits({ counts }: House, agents: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([block, count]) => [block, resourceLimit(count, agents)]),
  );
}

/** Damage of all spiders. */
export function totalDamage({ spider_attacks }: HouseTask): number {
  return spider_attacks.reduce((sum, attack) => sum + attack, 0);
}

function readHouse(task: HouseTask): House {
  const box: Box = { from: task.local_bbox_from, to: task.local_bbox_to };
  const [width, height, depth] = boxSize(box);
  const house: House = {
    box,
    blocks: [AIR],
    cells: new Uint16Array(width * height * depth),
    counts: {},
    solid: 0,
    allowed: [],
  };
  const { blocks, cells, counts } = house;
  for (let y = 0; y < height; y++) {
    const layer = task.layers_by_y[String(box.from[1] + y)]!;
    for (let z = 0; z < depth; z++) {
      for (let x = 0; x < width; x++) {
        const block = task.inventory[layer[z]![x]!]!;
        let index = blocks.indexOf(block);
        if (index < 0) index = blocks.push(block) - 1;
        cells[(z * height + y) * width + x] = index;
        if (index > 0) {
          counts[block] = (counts[block] ?? 0) + 1;
          house.solid++;
        }
      }
    }
  }
  const named = Object.values(task.inventory).filter((block) => block !== AIR);
  house.allowed = [...new Set([...HOUSE_BLOCKS, ...named])];
  return house;
}
