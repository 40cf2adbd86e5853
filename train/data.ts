/**
 * The data set of a run: the option `data` of an environment is the name of a source, which is
 * read when the run starts. A run's configuration is its operator's word, so it may name any file.
 */
import { resolve } from "node:path";
import { isHubSource } from "../shared/environments/data/hub.ts";
import { useDataSet } from "../shared/environments/data/load.ts";

/** Makes the data set known that these environment options name, if they name one. */
export async function useDataOf({ data }: Readonly<Record<string, unknown>>): Promise<void> {
  if (typeof data === "string") await useDataSet(data);
}

/** A source as an option: files by their full path, so that a run goes on from any folder. */
export const dataOption = (source: string): string =>
  isHubSource(source) ? source : resolve(source);
