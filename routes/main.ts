/**
 * `deno task serve`: listens as the edge. With a database on a server it needs network and
 * environment access alone (no FFI, no disk), so it also runs where there is neither.
 */
import { listen, type Listening, requireGuard } from "../shared/wire/listen.ts";
import { port, runCommand, whole } from "../shared/flags.ts";
import { environmentSource, useEnvironment } from "../shared/environments/load.ts";
import { createEnvironment, environmentIds } from "../shared/environments/registry.ts";
import { namedSource, useDataSet } from "../shared/environments/data/load.ts";
import { openStore, type Store } from "../shared/store/connect.ts";
import { createEpisodes, type Episodes } from "../shared/store/episodes.ts";
import { loadCommander } from "../deps.ts";
import { createApp } from "./app.ts";
import { createRunner } from "./evaluation_runner.ts";
import project from "../deno.json" with { type: "json" };

/** Milliseconds between looks for what other processes wrote, while a host listens. */
const POLL_MS = 100;
/** Milliseconds between looks for episodes past their deadline. */
const DEADLINES_MS = 5000;

interface Flags {
  port: number;
  host: string;
  db: string;
  gpu?: string;
  checkpoints?: string;
  data: string[];
  env: string[];
  openenvSessions?: number;
}

async function readFlags(args: string[]): Promise<Flags> {
  const { Command } = await loadCommander();
  return new Command("serve")
    .description("Serve environments, episodes and evaluations over HTTP and WebSocket")
    .option("--port <n>", "port to listen on, 0 for any free one", port, 8000)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option(
      "--db <url>",
      "file:PATH, or http(s)://, ws(s)://, libsql:// of a server",
      "file:collm.db",
    )
    .option("--gpu <url>", "GPU node that plays hosted evaluations (default: this process)")
    .option("--checkpoints <dir>", "evaluate only checkpoints under this folder")
    .option(
      "--env <source>",
      "environment to serve beside the others: a module or an address; repeatable",
      (text: string, all: string[]) => [...all, text],
      [] as string[],
    )
    .option(
      "--openenv-sessions <n>",
      "OpenEnv connections at once (default: 256)",
      whole("--openenv-sessions", 0, 100_000),
    )
    .option(
      "--data <source>",
      "data set for requests to choose by name: [NAME=]FILE, folder or hf:owner/name; repeatable",
      (text: string, all: string[]) => [...all, text],
      [] as string[],
    )
    .addHelpText(
      "after",
      "\nEnvironment: COLLM_TOKEN bearer token (needed beyond this machine), COLLM_SECRET key of " +
        "signed\nstates and agent tokens (the same on every replica), COLLM_DB_TOKEN token of the " +
        "database server",
    )
    .parse(args, { from: "user" })
    .opts<Flags>();
}

/** Serves until a signal has come and the last request is answered. */
export async function main(args: string[]): Promise<void> {
  const flags = await readFlags(args);
  const token = Deno.env.get("COLLM_TOKEN") || undefined;
  const { host, port } = flags;
  requireGuard({ host, port, token });
  for (const given of flags.data) await useDataSet(...namedSource(given));
  for (const given of flags.env) await useEnvironment(environmentSource(given));
  const dbToken = Deno.env.get("COLLM_DB_TOKEN");
  const store = await openStore(flags.db, dbToken ? { auth_token: dbToken } : {});
  let listening: Listening;
  let sweep: ReturnType<typeof setInterval>;
  try {
    const episodes = await createEpisodes(store, createEnvironment);
    const app = await createApp({
      ...{ store, episodes, environmentIds, createEnvironment, token, version: project.version },
      secret: Deno.env.get("COLLM_SECRET") || randomSecret(token !== undefined, store.remote),
      evaluate: createRunner(flags),
      ...flags.openenvSessions !== undefined && { openenv_sessions: flags.openenvSessions },
      poll_ms: store.remote ? POLL_MS : 0,
    });
    listening = listen({ host, port, token }, app.fetch);
    sweep = setInterval(() => failExpired(episodes, store), DEADLINES_MS);
  } catch (error) {
    await store.close();
    throw error;
  }
  console.log(`Edge at ${listening.url}`);
  await listening.finished;
  clearInterval(sweep);
  await store.close();
}

/** A secret of this process alone; says so where anyone would miss it. */
function randomSecret(guarded: boolean, shared: boolean): string {
  const replicas = ", and other edges on this database refuse them: give all the same COLLM_SECRET";
  if (guarded || shared) {
    console.error(
      "COLLM_SECRET is not set: signed states and agent tokens hold until this process ends" +
        (shared ? replicas : ""),
    );
  }
  return crypto.randomUUID() + crypto.randomUUID();
}

/** Fails what is past its deadline, also when nobody asks for it. */
async function failExpired(episodes: Episodes, store: Store): Promise<void> {
  try {
    await episodes.failExpired();
  } catch (error) {
    console.error(`Cannot look for deadlines in '${store.name}': ${(error as Error).message}`);
  }
}

if (import.meta.main) await runCommand(main);
