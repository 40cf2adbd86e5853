/** The shape of the repository: who may import whom, where outside packages are named, file sizes. */
import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { loadDockerfileLint } from "../deps.ts";
import { REPOSITORY } from "./support/data.ts";

const SKIPPED = ["node_modules", ".git", "runs"];

function* sources(folder = REPOSITORY): Generator<{ path: string; text: string }> {
  for (const entry of Deno.readDirSync(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory && !SKIPPED.includes(entry.name)) yield* sources(path);
    if (entry.isFile && entry.name.endsWith(".ts")) {
      yield { path: relative(REPOSITORY, path), text: Deno.readTextFileSync(path) };
    }
  }
}

const FILES = [...sources()];
/** Specifiers of a file's static and dynamic imports. */
const imports = (text: string) =>
  [...text.matchAll(/(?:^|\s)(?:from|import\()\s*"([^"\s]+)"/g)].map((found) => found[1]!);

Deno.test("only deps.ts names outside packages", () => {
  for (const { path, text } of FILES) {
    if (path === "deps.ts") continue;
    const outside = imports(text).filter((s) => !s.startsWith(".") && !s.startsWith("node:"));
    assert.deepEqual(outside, [], path);
  }
});

Deno.test("shared/ imports nothing from routes/, gpu-node/, agents/ or train/", () => {
  for (const { path, text } of FILES.filter((f) => f.path.startsWith("shared/"))) {
    const upward = imports(text).filter((s) => /\/(routes|gpu-node|agents|train)\//.test(s));
    assert.deepEqual(upward, [], path);
  }
});

Deno.test("gpu-node/ knows no environment, agent or algorithm", () => {
  for (const { path, text } of FILES.filter((f) => f.path.startsWith("gpu-node/"))) {
    const known = imports(text).filter((s) =>
      /\/(environments|algorithms|routes|agents|train)\//.test(s)
    );
    assert.deepEqual(known, [], path);
  }
});

Deno.test("files are small: median under 100 lines, none above 500, each with a header", () => {
  const lines = FILES.map(({ text }) => text.split("\n").length).sort((a, b) => a - b);
  assert.ok(lines[Math.floor(lines.length / 2)]! < 100, `median ${lines[lines.length >> 1]}`);
  for (const { path, text } of FILES) {
    assert.ok(text.split("\n").length <= 500, path);
    assert.match(text, /^(#!.*\n)?\/\*\*/, `${path} has no header`);
  }
});

Deno.test("the Dockerfile passes its linter", async () => {
  const { run } = (await loadDockerfileLint()).default;
  assert.notDeepEqual(run(REPOSITORY, "FROM node:latest\nRUN sudo ls\n"), []);
  const report = run(REPOSITORY, Deno.readTextFileSync(join(REPOSITORY, "Dockerfile")));
  assert.deepEqual(report, []);
});
