/**
 * What was built, as a file for other programs: `mcfunction` (commands of a data pack) or `schem`
 * (WorldEdit and others). Leaves out pictures (../render.ts) and servers (server.ts).
 */
import { CollmError, suggest } from "../../../errors.ts";
import type { World } from "../world.ts";
import { mcfunction } from "./functions.ts";
import { schematic } from "./schematic.ts";

export const EXPORT_FORMATS = ["mcfunction", "schem"] as const;

/**
 * Content of a file that holds a world.
 * @param title First line of a `.mcfunction` file.
 * @throws CollmError `not_found` for an unknown format.
 */
export async function exportWorld(
  world: World,
  format: string,
  title: string,
): Promise<Uint8Array> {
  if (format === "mcfunction") return new TextEncoder().encode(mcfunction(world, title));
  if (format === "schem") return await schematic(world);
  throw new CollmError(
    "not_found",
    `Cannot export world: unknown format '${format.slice(0, 40)}', ` +
      suggest(format.slice(0, 40), EXPORT_FORMATS),
  );
}
