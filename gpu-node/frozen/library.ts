/**
 * Transformers.js with this project's settings, in any thread. HF_ENDPOINT names another hub
 * (a mirror), COLLM_HUB_CACHE another folder than the library's own for what it downloads.
 */
import { loadTransformers } from "../../deps.ts";

export type Library = Awaited<ReturnType<typeof loadTransformers>>;

export async function transformersLibrary(): Promise<Library> {
  const library = await withoutLocation(loadTransformers);
  const { env } = library;
  // In a Worker the library takes itself to be in a browser, where there are no local folders.
  env.allowLocalModels = true;
  // Its first choice would be Deno's web cache, whose files have no paths.
  env.useBrowserCache = false;
  env.remoteHost = Deno.env.get("HF_ENDPOINT") || env.remoteHost;
  env.cacheDir = Deno.env.get("COLLM_HUB_CACHE") || env.cacheDir;
  return library;
}

/**
 * While the library starts, its bundled web runtime resolves a URL against `location.origin`,
 * which in a Worker of Deno is the word "null" and makes that throw; without a location it works.
 */
async function withoutLocation<T>(start: () => Promise<T>): Promise<T> {
  const held = Object.getOwnPropertyDescriptor(globalThis, "location");
  if (!held?.configurable) return await start();
  Object.defineProperty(globalThis, "location", { value: undefined, configurable: true });
  try {
    return await start();
  } finally {
    Object.defineProperty(globalThis, "location", held);
  }
}
