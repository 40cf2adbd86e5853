/**
 * What a team can earn without reading: the best fixed build for houses of one box, and a /kill.
 * A return above this bound shows that houses are read. Match is a sum over cells, so the best
 * build holds in each cell the block that most houses have there; resource limits are left out,
 * which can only raise the bound.
 */
import { houseOf, type HouseTask } from "./task.ts";

/** Houses of one key look alike to somebody who sees the build area only. */
export function boxKey({ local_bbox_from, local_bbox_to }: HouseTask): string {
  return [...local_bbox_from, ...local_bbox_to].join(" ");
}

/** Best mean reward over `tasks` of a team that sees build areas only; 0 for no tasks. */
export function blindBound(tasks: readonly HouseTask[]): number {
  let total = 0;
  for (const group of Map.groupBy(tasks, boxKey).values()) {
    const houses = group.map(houseOf);
    const cells = houses[0]!.cells.length;
    for (let cell = 0; cell < cells; cell++) {
      const count = new Map<string, number>();
      for (const { blocks, cells } of houses) {
        const block = blocks[cells[cell]!]!;
        count.set(block, (count.get(block) ?? 0) + 1);
      }
      total += Math.max(...count.values()) / cells;
    }
  }
  return tasks.length === 0 ? 0 : total / tasks.length;
}
