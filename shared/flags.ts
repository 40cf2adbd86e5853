/**
 * The command line that every command shares: values of flags, checked before anything starts, and
 * how a command ends. Leaves out which flags there are: each command's main.ts names its own.
 */
import { CollmError } from "./errors.ts";
import { isTemperature, TEMPERATURES } from "./temperature.ts";

/** Reads the text that commander hands over for one flag. */
export type FlagReader<T> = (text: string) => T;

/** Longest text shown, and longest that is read as a number. */
const LONGEST = 60;
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** A whole number from `least` to `most`, both allowed; digits only. */
export const whole = (
  flag: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): FlagReader<number> =>
  read(
    flag,
    `a whole number ${
      most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    }`,
    (text) => {
      const value = /^\d+$/.test(text) ? Number(text) : NaN;
      return value >= least && value <= most ? value : undefined;
    },
  );

/** Seed of a command's random choices. */
export const seed: FlagReader<number> = whole("--seed", 0, 2 ** 32 - 1);

/** Port to listen on; 0 takes any free one. */
export const port: FlagReader<number> = whole("--port", 0, 65535);

/** CPU threads of a GPU node. */
export const threads: FlagReader<number> = whole("--threads", 1, 1024);

/** Temperature of sampling, written as a decimal number. */
export const temperature: FlagReader<number> = read("--temperature", TEMPERATURES, (text) => {
  const value = DECIMAL.test(text) ? Number(text) : NaN;
  return isTemperature(value) ? value : undefined;
});

/** Address of a server that speaks one of these protocols. */
export const address = (
  flag: string,
  protocols: readonly string[] = ["http", "https"],
): FlagReader<string> =>
  read(
    flag,
    `an address that begins with ${protocols.map((name) => `${name}://`).join(" or ")}`,
    (text) => {
      const [, protocol = ""] = /^(\w+):\/\/[^/]/.exec(text) ?? [];
      return protocols.includes(protocol) && URL.canParse(text) ? text : undefined;
    },
    2000,
  );

/** One of a few names. */
export const oneOf = <T extends string>(flag: string, names: readonly T[]): FlagReader<T> =>
  read(flag, `one of ${names.join(", ")}`, (text) => names.find((name) => name === text));

function read<T>(
  flag: string,
  expected: string,
  reader: (text: string) => T | undefined,
  longest = LONGEST,
): FlagReader<T> {
  return (text) => {
    const value = text.length <= longest ? reader(text) : undefined;
    if (value !== undefined) return value;
    const shown = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
    throw new CollmError("invalid_request", `Cannot use ${flag} '${shown}': expected ${expected}`);
  };
}

/**
 * Runs a command with the process's arguments and ends the process: 0 when it is done, else 1 with
 * the sentence of a person's mistake, or with the stack of an error that is ours.
 */
export async function runCommand(main: (args: string[]) => Promise<void>): Promise<never> {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof CollmError ? `Error: ${error.message}` : error);
    Deno.exit(1);
  }
  Deno.exit(0);
}
