/**
 * Request bodies: JSON, of bounded size and depth, before any schema looks at them.
 * Other content types are refused: a page in a browser could send those to an open edge on this
 * machine without being asked.
 */
import { bodyLimit, type MiddlewareHandler } from "../../deps.ts";
import { CollmError } from "../errors.ts";

const MEBIBYTE = 2 ** 20;
/**
 * Bytes of a body: of one thing, of a list of things, of a step with the state that it came with;
 * and of that state, so that whatever is given out is taken back.
 */
export const LIMITS = {
  single: MEBIBYTE,
  batch: 16 * MEBIBYTE,
  step: 5 * MEBIBYTE,
  state: 4 * MEBIBYTE,
} as const;
/** Nested lists and objects of a body; recursion over more could end the process's stack. */
const DEPTH = 64;

/** At most `most` bytes. */
export function limitBody(most: number): MiddlewareHandler {
  return bodyLimit({
    maxSize: most,
    onError: () => {
      throw new CollmError(
        "payload_too_large",
        `Cannot read request: its body is larger than ${most} bytes`,
      );
    },
  });
}

/** Refuses bodies that are no JSON or nested too deeply. */
export const checkJson: MiddlewareHandler = async (c, next) => {
  if (c.req.method === "POST") {
    requireJson(c.req.header("content-type"));
    // Parsed here for one clear sentence; the text is kept, so a schema reads it again.
    parseJson(await c.req.text(), "request");
  }
  await next();
};

/** Throws invalid_request unless a request says that its body is JSON. */
export function requireJson(header: string | undefined): void {
  const type = header?.replace(/;.*/s, "").trim().toLowerCase();
  if (type === "application/json") return;
  throw new CollmError(
    "invalid_request",
    `Cannot read request: its content-type must be application/json, not ` +
      (type === undefined ? "missing" : `'${type.slice(0, 60)}'`),
  );
}

/** JSON of bounded depth without `__proto__`; throws invalid_request naming `what`. */
export function parseJson(text: string, what: string): unknown {
  if (tooDeep(text)) {
    throw new CollmError(
      "invalid_request",
      `Cannot read ${what}: its JSON is nested more than ${DEPTH} deep`,
    );
  }
  try {
    return JSON.parse(text, mayHide(text) ? refuseHidden : undefined);
  } catch (cause) {
    if (cause instanceof CollmError) {
      throw new CollmError(cause.code, `Cannot read ${what}: ${cause.message}`);
    }
    throw new CollmError("invalid_request", `Cannot read ${what}: its body is not valid JSON`, {
      cause,
    });
  }
}

/** A key that schemas drop without a word, and that may change an object instead of being in it. */
const HIDDEN = "__proto__";
/** Whether the key may be there, perhaps with its letters escaped. */
const mayHide = (text: string) => text.includes(HIDDEN) || /\\u00[5-7]/i.test(text);

function refuseHidden(key: string, value: unknown): unknown {
  if (key !== HIDDEN) return value;
  throw new CollmError("invalid_request", `unknown field '${HIDDEN}'`);
}

/** One pass over the text, outside of strings. */
function tooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === "\\") i++;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === "{" || char === "[") {
      if (++depth > DEPTH) return true;
    } else if (char === "}" || char === "]") depth--;
  }
  return false;
}
