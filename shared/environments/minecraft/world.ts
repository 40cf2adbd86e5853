/**
 * A block world in memory: a box of cells, each holding the index of a block name.
 * Every turn of the Minecraft tasks starts from air, so a world lives for one step only.
 */
import { CollmError } from "../../errors.ts";
import type { Command } from "./parse.ts";
import { AIR } from "./textures.ts";

/** x (right), y (up), z (towards the viewer). */
export type Position = readonly [x: number, y: number, z: number];

/** Both corners belong to the box; `from` is the least corner. */
export interface Box {
  from: Position;
  to: Position;
}

export interface World {
  box: Box;
  /** Block names; index 0 is air. */
  blocks: string[];
  /** Block index of every cell, x fastest, then y, then z. */
  cells: Uint16Array;
}

/** Cells along x, y and z. */
export function boxSize({ from, to }: Box): Position {
  return [to[0] - from[0] + 1, to[1] - from[1] + 1, to[2] - from[2] + 1];
}

export function inBox({ from, to }: Box, [x, y, z]: Position): boolean {
  return x >= from[0] && x <= to[0] && y >= from[1] && y <= to[1] && z >= from[2] && z <= to[2];
}

/** The box with two given corners in any order. */
export function boxOf(a: Position, b: Position): Box {
  return {
    from: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.min(a[2], b[2])],
    to: [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.max(a[2], b[2])],
  };
}

/** A world of air; its block names begin with the given ones, air first. */
export function emptyWorld(box: Box, blocks: readonly string[] = [AIR]): World {
  const [width, height, depth] = boxSize(box);
  return { box, blocks: [...blocks], cells: new Uint16Array(width * height * depth) };
}

/** Block at a cell; air outside the box. */
export function blockAt(world: World, at: Position): string {
  return inBox(world.box, at) ? world.blocks[world.cells[cellIndex(world, at)]!]! : AIR;
}

/** Writes accepted commands into a world in order: later ones win, air erases. */
export function applyCommands(world: World, commands: readonly Command[]): World {
  for (const command of commands) {
    if (command.verb === "kill") continue;
    let block = world.blocks.indexOf(command.block);
    if (block < 0) block = world.blocks.push(command.block) - 1;
    if (command.verb === "setblock") world.cells[cellIndex(world, command.at)] = block;
    else fillBox(world, command.box, block);
  }
  return world;
}

function fillBox(world: World, { from, to }: Box, block: number): void {
  const row = to[0] - from[0] + 1;
  for (let z = from[2]; z <= to[2]; z++) {
    for (let y = from[1]; y <= to[1]; y++) {
      const start = cellIndex(world, [from[0], y, z]);
      world.cells.fill(block, start, start + row);
    }
  }
}

/** The order in which people list cells: top row first, left to right. */
export function readingOrder(cells: readonly Position[]): Position[] {
  return [...cells].sort((a, b) => b[1] - a[1] || a[0] - b[0] || a[2] - b[2]);
}

/** Every cell of a box: x fastest, then y, then z. */
export function* positions({ from, to }: Box): Generator<Position> {
  for (let z = from[2]; z <= to[2]; z++) {
    for (let y = from[1]; y <= to[1]; y++) {
      for (let x = from[0]; x <= to[0]; x++) yield [x, y, z];
    }
  }
}

function cellIndex({ box }: World, at: Position): number {
  if (!inBox(box, at)) {
    throw new CollmError("internal", `Cannot write block at ${at.join(" ")}: outside the world`);
  }
  const { from, to } = box;
  const [width, height] = [to[0] - from[0] + 1, to[1] - from[1] + 1];
  return ((at[2] - from[2]) * height + (at[1] - from[1])) * width + (at[0] - from[0]);
}
