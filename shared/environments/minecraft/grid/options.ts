/**
 * Options of the grid tasks: read as those of every environment, but for `compat`, which other
 * environments have and these cannot. Leaves out which options there are.
 */
import type { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { readFields } from "../../options.ts";

/** @throws CollmError `invalid_request` naming the option that is wrong */
export function readGridOptions<Shape extends z.ZodRawShape>(
  id: string,
  schema: z.ZodObject<Shape>,
  input: Record<string, unknown>,
): z.output<z.ZodObject<Shape>> {
  const what = `Cannot create environment '${id}'`;
  if (Object.hasOwn(input, "compat")) {
    throw new CollmError(
      "invalid_request",
      `${what}: it has no option 'compat', since there is no published implementation to follow`,
    );
  }
  return readFields(schema, input, what, "option");
}
