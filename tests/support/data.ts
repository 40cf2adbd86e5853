/**
 * Test data that is too large for the repository: the folder `shared` beside it, or COLLM_DATA.
 * A test whose data is absent is skipped by name, unless COLLM_REQUIRE_DATA=1 makes it fail.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** Root of the repository. */
export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
/** Folder with the checked-in golden files. */
export const GOLDEN = join(REPOSITORY, "tests", "golden");

/** A test on the file or folder `relative` of the data folder; `body` gets its path. */
export function dataTest(
  name: string,
  relative: string,
  body: (path: string) => void | Promise<void>,
): void {
  const path = join(Deno.env.get("COLLM_DATA") ?? join(REPOSITORY, "..", "shared"), relative);
  const run = existsSync(path) || Deno.env.get("COLLM_REQUIRE_DATA") === "1";
  Deno.test(
    { name: run ? name : `${name} (skipped: no data ${relative})`, ignore: !run },
    () => body(path),
  );
}
