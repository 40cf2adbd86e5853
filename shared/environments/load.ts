/**
 * Environments that are not among the project's own: a module with `defineEnvironment`, or one
 * that is served elsewhere. For the start of a process and its operator's words: no request names
 * a module or an address. Leaves out what environments do.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CollmError } from "../errors.ts";
import { callJson, type CallOptions } from "../wire/call.ts";
import { parse } from "../wire/parse.ts";
import { remembered } from "../store/episodes/environments.ts";
import { DefinedEnvironment } from "./define.ts";
import type { Environment } from "./environment.ts";
import { registerEnvironment } from "./registry.ts";
import { isEdgeEnvironment, RemoteEnvironment } from "./remote.ts";
import { createOpenEnv, openEnvMetadata } from "./remote_openenv.ts";

/** Whether `--env` names a module or an address, not one of the project's environments. */
export const isSource = (given: string): boolean =>
  /^https?:\/\//.test(given) || /[/\\]|\.[cm]?[jt]s$/.test(given);

/** A source as it is kept: files by their full path, so that a run goes on from any folder. */
export const environmentSource = (given: string): string =>
  /^https?:\/\//.test(given) ? given : resolve(given);

const remotes = new Map<string, RemoteEnvironment>();
/** Ids of modules and servers that are known. */
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
  if (!URL.canParse(url)) {
    throw new CollmError(
      "invalid_request",
      `Cannot load environment '${url.slice(0, 100)}': it is no address`,
    );
  }
  const { hostname, port, pathname } = new URL(url);
  const name = pathname.replace(/\/+$/, "").split("/").at(-1) || "openenv";
  const id = `${name}-${hostname}${port && `-${port}`}`;
  const call = { token, timeoutMs: 60_000, retries: 2 };
  if (!isEdgeEnvironment(url)) return await useOpenEnv(url, id, call);
  let remote = remotes.get(url);
  if (!remote) {
    remote = new RemoteEnvironment(url, id, call);
    await remote.describe(options);
    const made = remote;
    registerEnvironment(id, (given) => made.create(given));
    remotes.set(url, remote);
  } else await remote.describe(options);
  return remote.id;
}

/** A server of OpenEnv's protocol at this base address. */
async function useOpenEnv(url: string, id: string, call: CallOptions): Promise<string> {
  if (modules.has(url)) return id;
  const base = url.replace(/\/+$/, "");
  const [metadata, schema] = await Promise.all(
    ["metadata", "schema"].map((path) => callJson("GET", `${base}/${path}`, undefined, call)),
  );
  const told = parse(openEnvMetadata, metadata, `the metadata of ${url}`, "unavailable");
  const server = { id, url, token: call.token, metadata: told, schema };
  // One for the same options: it holds the sessions that wait for their next step.
  const create = remembered((_id, options) => createOpenEnv(server, options) as Environment, 64);
  registerEnvironment(id, (options) => create(id, options));
  modules.set(url, id);
  return id;
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
