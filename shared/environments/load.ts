/**
 * Environments that are not among the project's own: a module with `defineEnvironment`, or one
 * that is served elsewhere. For the start of a process and its operator's words: no request names
 * a module or an address. Leaves out what environments do.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CollmError } from "../errors.ts";
import { DefinedEnvironment } from "./define.ts";
import { registerEnvironment } from "./registry.ts";
import { isEdgeEnvironment, RemoteEnvironment } from "./remote.ts";

/** Whether `--env` names a module or an address, not one of the project's environments. */
export const isSource = (given: string): boolean =>
  /^https?:\/\//.test(given) || /[/\\]|\.[cm]?[jt]s$/.test(given);

/** A source as it is kept: files by their full path, so that a run goes on from any folder. */
export const environmentSource = (given: string): string =>
  /^https?:\/\//.test(given) ? given : resolve(given);

const remotes = new Map<string, RemoteEnvironment>();
const modules = new Map<string, string>();

/**
 * Makes the environment of a source known to this process. Of a remote one, with these options.
 * @param token Bearer token of a remote one.
 * @returns its id
 * @throws CollmError for a source that is none
 */
export async function useEnvironment(
  source: string,
  options: Record<string, unknown> = {},
  token: string | undefined = Deno.env.get("COLLM_ENV_TOKEN"),
): Promise<string> {
  if (/^https?:\/\//.test(source)) return await useRemote(source, options, token);
  const known = modules.get(source);
  if (known !== undefined) return known;
  const { id, create } = await importFrom(source);
  registerEnvironment(id, create);
  modules.set(source, id);
  return id;
}

async function useRemote(
  url: string,
  options: Record<string, unknown>,
  token: string | undefined,
): Promise<string> {
  if (!isEdgeEnvironment(url)) {
    throw new CollmError(
      "invalid_request",
      `Cannot use environment '${url}': its address must end in /v1/environments/ID`,
    );
  }
  let remote = remotes.get(url);
  if (!remote) {
    const { hostname, port, pathname } = new URL(url);
    const name = pathname.replace(/\/+$/, "").split("/").at(-1);
    const id = `${name}-${hostname}${port && `-${port}`}`;
    remote = new RemoteEnvironment(url, id, { token, timeoutMs: 60_000, retries: 2 });
    await remote.describe(options);
    const made = remote;
    registerEnvironment(id, (given) => made.create(given));
    remotes.set(url, remote);
  } else await remote.describe(options);
  return remote.id;
}

async function importFrom(source: string): Promise<DefinedEnvironment> {
  const fail = (reason: string, cause?: unknown) =>
    new CollmError("invalid_request", `Cannot load environment '${source}': ${reason}`, { cause });
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(resolve(source)).href);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error), error);
  }
  if (module.default instanceof DefinedEnvironment) return module.default;
  throw fail("its default export is not what defineEnvironment gives");
}
