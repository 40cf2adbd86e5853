/**
 * Rows of a file: JSON lines, one JSON array, or parquet (any of its compressions). Leaves out
 * where files come from (load.ts) and what columns mean.
 */
import { loadParquet, loadParquetCompressors } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import type { Row } from "./data_set.ts";

/** What the names of files that hold rows end with; the surest sign of rows first. */
export const FORMATS = ["parquet", "jsonl", "ndjson", "json"] as const;

/** Format of a file by its name, or `undefined` where it holds no rows. */
export function formatOf(path: string): typeof FORMATS[number] | undefined {
  return FORMATS.find((format) => path.toLowerCase().endsWith(`.${format}`));
}

/**
 * All rows of a file, in its order.
 * @param path Names the file in errors; how it ends tells the format.
 * @throws CollmError `invalid_request` for a format that is not known or a file that breaks its
 * format, with the line
 */
export async function readRows(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Row[]> {
  const format = formatOf(path);
  if (format === "parquet") return await parquetRows(path, bytes);
  if (format === undefined) {
    throw new CollmError(
      "invalid_request",
      `Cannot read data file '${path}': its name must end with .${FORMATS.join(", .")}`,
    );
  }
  const text = decode(path, bytes);
  if (format === "json" && text.trimStart().startsWith("[")) {
    const rows = parseJson(path, text, "");
    return (rows as unknown[]).map((row, i) => rowOf(path, row, `, item ${i}`));
  }
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `, line ${i + 1}`;
    return [rowOf(path, parseJson(path, line, where), where)];
  });
}

async function parquetRows(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Row[]> {
  const { parquetReadObjects } = await loadParquet();
  const { compressors } = await loadParquetCompressors();
  const { buffer, byteOffset, byteLength } = bytes;
  const file = byteLength === buffer.byteLength
    ? buffer
    : buffer.slice(byteOffset, byteOffset + byteLength);
  try {
    const rows = await parquetReadObjects({ file, compressors });
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, jsonValue(value)]))
    );
  } catch (cause) {
    throw broken(path, "", (cause as Error).message, cause);
  }
}

/** Parquet's 64-bit integers as numbers, where a number can hold them. */
function jsonValue(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function decode(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw broken(path, "", "it is not UTF-8 text", cause);
  }
}

function parseJson(path: string, text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw broken(path, where, (cause as Error).message, cause);
  }
}

function rowOf(path: string, value: unknown, where: string): Row {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw broken(path, where, "a row must be an object");
}

function broken(path: string, where: string, reason: string, cause?: unknown): CollmError {
  return new CollmError(
    "invalid_request",
    `Cannot read data file '${path}'${where}: ${reason.slice(0, 200)}`,
    { cause },
  );
}
