/**
 * Data sets from where they are: a file, a folder with a file per split, or the Hugging Face hub
 * as `hf:owner/name`. For the start of a process and its operator's words: no request names a
 * source. Leaves out what rows mean; without a network, download once and name the file.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { CollmError } from "../../errors.ts";
import { BUILTIN, type DataSet, hasDataSet, registerDataSet, type Row } from "./data_set.ts";
import { type HubAccess, hubFiles, isHubSource } from "./hub.ts";
import { formatOf, FORMATS, readRows } from "./rows.ts";

/** A file of a data set, read when asked. */
export interface DataFile {
  /** Path within the source; forward slashes. */
  path: string;
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Where the data sets come from that this process has read, by name. */
const sources = new Map<string, string>();

/**
 * Reads a data set and makes it known to this process, unless it is; `builtin` always is.
 * @throws CollmError `conflict` for a name that stands for another source
 */
export async function useDataSet(source: string, name: string = source): Promise<void> {
  if (name === BUILTIN && source === BUILTIN) return;
  const other = sources.get(name);
  if (other !== undefined && other !== source) {
    throw new CollmError(
      "conflict",
      `Cannot load data set '${source}' as '${name}': the name is that of '${other}'`,
    );
  }
  if (hasDataSet(name)) return;
  registerDataSet(await loadDataSet(source, name));
  sources.set(name, source);
}

/** `NAME=SOURCE` as a name and a source; a source alone is its own name. */
export function namedSource(given: string): [source: string, name: string] {
  const [, name, source] = /^([A-Za-z0-9_.-]{1,64})=(.+)$/.exec(given) ?? [];
  return name === undefined || source === undefined ? [given, given] : [source, name];
}

/**
 * Reads a data set: all of its files whose format is known, by split.
 * @throws CollmError `not_found` for no such source, `invalid_request` for one without rows
 */
export async function loadDataSet(
  source: string,
  name: string = source,
  hub?: HubAccess,
): Promise<DataSet> {
  const files = isHubSource(source) ? await hubFiles(source, hub) : await localFiles(source);
  const known = oneFormat(files);
  const bySplit = Map.groupBy(
    known.sort((a, b) => a.path < b.path ? -1 : 1),
    ({ path }) => splitName(path),
  );
  const splits: Record<string, Row[]> = {};
  for (const [split, parts] of bySplit) {
    refuseSeveralFolders(source, split, parts);
    const rows: Row[] = [];
    for (const { path, read } of parts) {
      for (const row of await readRows(`${source}: ${path}`, await read())) rows.push(row);
    }
    if (rows.length > 0) splits[split] = rows;
  }
  if (Object.keys(splits).length > 0) return { name, splits };
  throw new CollmError(
    "invalid_request",
    `Cannot load data set '${source}': it holds no rows in files that end with .${
      FORMATS.join(", .")
    }`,
  );
}

/** Files of the first format that there is: the others tell the same rows again, or of them. */
function oneFormat(files: readonly DataFile[]): DataFile[] {
  const format = FORMATS.find((format) => files.some(({ path }) => formatOf(path) === format));
  return files.filter(({ path }) => format !== undefined && formatOf(path) === format);
}

/** `train` of `data/train-00000-of-00003.parquet` and of `train.jsonl`. */
function splitName(path: string): string {
  return basename(path).replace(/\.[^.]*$/, "").replace(/-\d+-of-\d+$/, "");
}

/** Several configurations of one data set must not be mixed. */
function refuseSeveralFolders(source: string, split: string, files: readonly DataFile[]): void {
  const folders = [...new Set(files.map(({ path }) => path.slice(0, path.lastIndexOf("/") + 1)))];
  if (folders.length < 2) return;
  throw new CollmError(
    "invalid_request",
    `Cannot load data set '${source}': split '${split}' is in several folders, name one of ` +
      folders.map((folder) => `'${source}/${folder.replace(/\/$/, "")}'`).join(", "),
  );
}

async function localFiles(source: string): Promise<DataFile[]> {
  const read = (path: string) => async () => new Uint8Array(await readFile(path));
  try {
    if (!(await stat(source)).isDirectory()) {
      return [{ path: basename(source), read: read(source) }];
    }
    return (await readdir(source)).map((path) => ({ path, read: read(join(source, path)) }));
  } catch (cause) {
    throw new CollmError(
      "not_found",
      `Cannot load data set '${source}': ${(cause as Error).message}`,
      { cause },
    );
  }
}
