/** Configuration files: JSON with comments (line and block). Leaves out what the keys mean. */
import { CollmError } from "../shared/errors.ts";
import { isObject, type JsonObject } from "./overrides.ts";
import { show } from "../shared/environments/options.ts";

/** Reads one object from a file. @throws CollmError `invalid_request` with file and reason. */
export async function readConfigFile(path: string): Promise<JsonObject> {
  const fail = (reason: string, cause?: unknown) =>
    new CollmError("invalid_request", `Cannot read configuration file '${path}': ${reason}`, {
      cause,
    });
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw fail("there is no such file", error);
    throw fail((error as Error).message, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(withoutComments(text));
  } catch (error) {
    throw fail((error as Error).message, error);
  }
  if (!isObject(value)) throw fail(`it must hold an object, not ${show(value)}`);
  return value;
}

// A string or a comment. One without its end is taken too, so that no text is read twice.
const STRING_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"?|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/g;

/** The same text with comments blanked out, so that positions in errors stay true. */
export function withoutComments(text: string): string {
  return text.replace(
    STRING_OR_COMMENT,
    (found) => found.startsWith("/") ? found.replace(/[^\n]/g, " ") : found,
  );
}
