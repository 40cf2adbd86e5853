/**
 * Files of a data set on the Hugging Face hub (or a server that speaks like it), through its own
 * package. Leaves out formats and splits.
 */
import { loadHub } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import type { DataFile } from "./load.ts";

export interface HubAccess {
  /** Address of the hub (default: the public one, or HF_ENDPOINT). */
  url?: string | undefined;
  /** Token for data sets that are not public (default: HF_TOKEN). */
  token?: string | undefined;
}

const PREFIX = "hf:";
const SOURCE = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?(?:\/(.+))?$/;

export const isHubSource = (source: string): boolean => source.startsWith(PREFIX);

/**
 * All files of `hf:owner/name`, of its folder `hf:owner/name/folder`, or of a revision
 * `hf:owner/name@revision`; contents are fetched when read.
 * @throws CollmError `invalid_request` for another spelling, `not_found` or `unavailable` for what
 * the hub answers
 */
export async function hubFiles(
  source: string,
  access: HubAccess = { url: Deno.env.get("HF_ENDPOINT"), token: Deno.env.get("HF_TOKEN") },
): Promise<DataFile[]> {
  const [, name, revision, folder] = SOURCE.exec(source) ?? [];
  if (name === undefined) {
    throw new CollmError(
      "invalid_request",
      `Cannot load data set '${source}': it must look like hf:owner/name, hf:owner/name/folder ` +
        "or hf:owner/name@revision",
    );
  }
  const { downloadFile, listFiles } = await loadHub();
  const where = {
    repo: { type: "dataset" as const, name },
    ...revision !== undefined && { revision },
    ...access.url && { hubUrl: access.url.replace(/\/+$/, "") },
    ...access.token && { accessToken: access.token },
  };
  return await answered(source, async () => {
    const files: DataFile[] = [];
    const listed = { ...where, recursive: true, ...folder !== undefined && { path: folder } };
    for await (const { type, path } of listFiles(listed)) {
      if (type !== "file") continue;
      const read = () =>
        answered(source, async () => {
          // Plain ranges: every hub answers them, also mirrors without the chunk protocol.
          const blob = await downloadFile({ ...where, path, xet: false });
          if (blob) return new Uint8Array(await blob.arrayBuffer());
          throw new CollmError(
            "not_found",
            `Cannot load data set '${source}': its file '${path}' is gone`,
          );
        });
      files.push({ path, read });
    }
    return files;
  });
}

/** What the hub answers; its refusals and a missing network as errors of ours. */
async function answered<T>(source: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof CollmError) throw cause;
    const { statusCode, message } = cause as Error & { statusCode?: number };
    const refused = statusCode !== undefined && statusCode < 500;
    throw new CollmError(
      refused ? "not_found" : "unavailable",
      `Cannot load data set '${source}': ${
        statusCode === undefined ? "" : `the hub answered ${statusCode}, `
      }${message.slice(0, 200)}`,
      { cause },
    );
  }
}
