/**
 * The folder of a run: configuration, metrics, checkpoints, results. `manifest.json` is written
 * last and in one step, so a run killed at any moment resumes from a state that is whole.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../shared/errors.ts";
import { fileError, writeFileAtomic, writeJsonAtomic } from "../gpu-node/model/files.ts";
import type { RunConfig } from "./config.ts";
import type { Evaluation } from "./evaluation.ts";
import {
  evaluationFile,
  type Manifest,
  manifestFile,
  readChecked,
  readConfig,
  readRows,
} from "./run_files.ts";

export type { Manifest } from "./run_files.ts";

export class RunFolder {
  constructor(readonly path: string) {}

  /** Creates the folder; refuses one that holds anything already. */
  static create(path: string, config: RunConfig): RunFolder {
    if (existsSync(path) && readdirSync(path).length > 0) {
      const run = existsSync(join(path, "config.json"));
      const holds = run ? "a run already, use --resume or another --out" : "other files";
      throw new CollmError("conflict", `Cannot start a run in '${path}': it holds ${holds}`);
    }
    try {
      mkdirSync(path, { recursive: true });
      writeJsonAtomic(join(path, "config.json"), config);
    } catch (cause) {
      throw cause instanceof CollmError ? cause : fileError("create run folder", path, cause);
    }
    return new RunFolder(path);
  }

  static open(path: string): RunFolder {
    if (!existsSync(join(path, "config.json"))) {
      throw new CollmError("not_found", `Cannot resume '${path}': it is not a run folder`);
    }
    return new RunFolder(path);
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  config(): RunConfig {
    return readConfig(this.file("config.json"));
  }

  manifest(): Manifest | null {
    const path = this.file("manifest.json");
    return existsSync(path) ? readChecked(path, manifestFile) : null;
  }

  /** The evaluation before training, as a run that resumes needs it. */
  before(): Evaluation {
    return readChecked(this.file("before.json"), evaluationFile);
  }

  /** Makes `manifest` the state to resume from, then drops checkpoints nothing points to. */
  commit(manifest: Manifest): void {
    writeJsonAtomic(this.file("manifest.json"), manifest);
    const kept = new Set(Object.values(manifest.models).map((folder) => folder.split("/")[1]));
    for (const name of readdirSync(this.file("checkpoints"))) {
      if (!kept.has(name)) rmSync(this.file("checkpoints", name), { recursive: true });
    }
  }

  writeJson(name: string, value: unknown): void {
    writeJsonAtomic(this.file(name), value);
  }

  write(name: string, data: string | Uint8Array): void {
    writeFileAtomic(this.file(name), [
      typeof data === "string" ? new TextEncoder().encode(data) : data,
    ]);
  }

  /** Rows of a JSON-lines file; a last line cut short by a crash is left out. */
  rows<T>(name: string): T[] {
    const path = this.file(name);
    return existsSync(path) ? readRows(path) as T[] : [];
  }

  append(name: string, row: unknown): void {
    try {
      Deno.writeTextFileSync(this.file(name), `${JSON.stringify(row)}\n`, { append: true });
    } catch (cause) {
      throw fileError("write", this.file(name), cause);
    }
  }

  /** Drops what was appended after the state being resumed, which must be there whole. */
  keepRows(name: string, count: number): void {
    const rows = this.rows(name);
    if (rows.length < count) {
      throw new CollmError(
        "invalid_request",
        `Cannot resume '${this.path}': ${name} has ${rows.length} of ${count} rows`,
      );
    }
    this.write(name, rows.slice(0, count).map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
}
