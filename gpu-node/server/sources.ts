/**
 * Which folder a name of a client's stands for, and what clients call a folder. A name is looked up
 * among the server's models and checkpoints and is never a path; where a folder lies is not a
 * client's matter. Leaves out the policies that are loaded from them.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import { HUB_ID } from "../../shared/wire/gpu.ts";
import { hubIdOf } from "../hub.ts";
import { isAdapterFolder, readAdapterConfig } from "../model/lora.ts";
import type { LoadRequest } from "../verbs.ts";
import type { Checkpoints } from "./checkpoints.ts";

export interface SourceOptions {
  /** Folder of each model by its name. */
  models: ReadonlyMap<string, string>;
  checkpoints: Checkpoints;
  /** Folder of a model on a hub, brought there when needed; absent, hub ids are refused. */
  fromHub?: (request: LoadRequest) => Promise<string>;
}

export interface Sources {
  /** Folder that a request's source stands for; throws not_found. */
  folderOf(request: LoadRequest): Promise<string>;
  /**
   * What an adapter in `folder` extends when the request does not say, undefined for no adapter:
   * what its folder names, if that is one of this server's models, what they extend, a checkpoint,
   * or a hub's model where those are allowed. Any other path of its author's is not looked at.
   * Models of the command line may extend anything.
   */
  baseOf(request: LoadRequest, folder: string): Promise<string | undefined>;
  /**
   * What a client may call the base that an adapter's file names: a hub id, a model, a checkpoint,
   * or the model that is an adapter on it; null where it has none of these names.
   */
  nameOfBase(base: string): Promise<string | null>;
  /**
   * A sentence with the names of models and checkpoints in the place of their folders, but where it
   * quotes what the client wrote: that must not tell whether a path is one of them.
   */
  withNames(text: string, written: LoadRequest): string;
}

export function openSources({ models, checkpoints, fromHub }: SourceOptions): Sources {
  async function folderOf(request: LoadRequest): Promise<string> {
    const { policy, source } = request;
    const model = models.get(source);
    if (model !== undefined) return model;
    const folder = checkpoints.folder(source);
    if (folder !== null) {
      await checkpoints.verify(source);
      return folder;
    }
    const fail = (why: string) => {
      throw new CollmError("not_found", `Cannot load policy '${policy}': ${why}`);
    };
    if (!HUB_ID.test(source)) {
      const names = [...models.keys()];
      const hint = names.length ? suggest(source, names) : "the server has no models";
      fail(`no model or checkpoint '${source}', ${hint}`);
    }
    if (!fromHub) fail(`'${source}' is on a hub, which needs a server started with --allow-hub`);
    return await fromHub!(request);
  }

  async function baseOf({ policy, source }: LoadRequest, folder: string) {
    const base = models.has(source) ? null : namedBase(folder);
    if (base === null) return undefined;
    const own = [...models.values()];
    for (const path of [...own, ...own.map(namedBase), ...checkpoints.folders()]) {
      if (path === null) continue;
      if (resolve(path) === resolve(base) || await hubIdOf(path) === base) return path;
    }
    // As a client reads it in the file of an adapter that this server saved.
    const model = models.get(base);
    if (model !== undefined) return namedBase(model) ?? model;
    if (checkpoints.folder(base) || fromHub && HUB_ID.test(base)) {
      return await folderOf({ policy, source: base });
    }
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': its adapter extends '${base.slice(0, 100)}', which is no ` +
        "model of this server, name one as base",
    );
  }

  async function nameOfBase(base: string): Promise<string | null> {
    const path = resolve(base);
    const named = (folderOf: (folder: string) => string | null) =>
      [...models].find(([, model]) => {
        const folder = folderOf(model);
        return folder !== null && resolve(folder) === path;
      })?.[0];
    const known = await hubIdOf(path) ?? named((folder) => folder) ?? checkpoints.idOf(path) ??
      named(namedBase);
    return known ?? (HUB_ID.test(base) && !existsSync(base) ? base : null);
  }

  function withNames(text: string, { source, base }: LoadRequest): string {
    const own = [source, base].map((written) => `'${written}'`).find((quote) =>
      text.includes(quote)
    );
    return own === undefined ? toNames(text) : text.split(own).map(toNames).join(own);
  }

  function toNames(text: string): string {
    const { root } = checkpoints;
    let said = text.replaceAll(`${resolve(root)}/`, "").replaceAll(`'${root}/`, "'");
    for (const [name, folder] of models) {
      said = said.replaceAll(resolve(folder), name);
      // A relative path may be any word: only where it is quoted as one.
      for (const end of ["'", "/"]) said = said.replaceAll(`'${folder}${end}`, `'${name}${end}`);
    }
    return said;
  }

  return { folderOf, baseOf, nameOfBase, withNames };
}

/** What the adapter in a folder extends; null where it holds none. */
const namedBase = (folder: string): string | null =>
  isAdapterFolder(folder) ? readAdapterConfig(folder).base : null;
