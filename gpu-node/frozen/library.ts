/**
 * Transformers.js with this project's settings, in any thread. HF_ENDPOINT names another hub
 * (a mirror), COLLM_HUB_CACHE another folder than the library's own for what it downloads.
 */
import { loadTransformers } from "../../deps.ts";

export type Library = Awaited<ReturnType<typeof loadTransformers>>;

export async function transformersLibrary(): Promise<Library> {
  const library = await loadTransformers();
  const { env } = library;
  // In a Worker the library takes itself to be in a browser and forbids local folders.
  env.allowLocalModels = true;
  env.remoteHost = Deno.env.get("HF_ENDPOINT") || env.remoteHost;
  env.cacheDir = Deno.env.get("COLLM_HUB_CACHE") || env.cacheDir;
  return library;
}
