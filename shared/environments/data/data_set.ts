/**
 * Data sets that environments take tasks from, by name. A process registers the ones that its
 * operator names when it starts; a request can only choose among them, so no request makes this
 * process read a file or an address. Leaves out reading them (load.ts).
 */
import { CollmError, suggest } from "../../errors.ts";

/** One row: a value per column. */
export type Row = Readonly<Record<string, unknown>>;

export interface DataSet {
  readonly name: string;
  /** Rows by split, in their published order; one split where the source has none. */
  readonly splits: Readonly<Record<string, readonly Row[]>>;
}

/** The name of what an environment brings along; never registered. */
export const BUILTIN = "builtin";

const known = new Map<string, DataSet>();

/** Makes a data set known to this process, in place of an earlier one of its name. */
export function registerDataSet(set: DataSet): void {
  if (set.name === BUILTIN) {
    throw new CollmError(
      "invalid_request",
      `Cannot register data set '${BUILTIN}': the name is that of the shipped data`,
    );
  }
  known.set(set.name, set);
}

/** Whether a data set is registered. */
export const hasDataSet = (name: string): boolean => known.has(name);

/** All registered data sets. */
export const dataSets = (): DataSet[] => [...known.values()];

/** A registered data set. @throws CollmError `not_found` */
export function dataSet(name: string): DataSet {
  const set = known.get(name);
  if (set) return set;
  const short = name.slice(0, 60);
  const names = [BUILTIN, ...known.keys()];
  throw new CollmError(
    "not_found",
    `Cannot find data set '${short}' in this process, ${suggest(short, names)}`,
  );
}
