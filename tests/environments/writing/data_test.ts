/** Data sets from files and folders: formats, splits, what is refused, and real abstracts. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { loadParquetWriter } from "../../../deps.ts";
import { registerDataSet } from "../../../shared/environments/data/data_set.ts";
import { loadDataSet, namedSource, useDataSet } from "../../../shared/environments/data/load.ts";
import { partOf } from "../../../shared/environments/data/splits.ts";
import { createArxiv, createTldr } from "../../../shared/environments/writing/index.ts";
import { dataTest } from "../../support/data.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-data-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const lines = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).join("\n");
const posts = (count: number) => Array.from({ length: count }, (_, i) => `Post ${i}, naïve ☕`);

type Codec = "SNAPPY" | "GZIP" | "UNCOMPRESSED";

async function parquet(texts: readonly string[], codec: Codec = "SNAPPY") {
  const { parquetWriteBuffer } = await loadParquetWriter();
  return new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "prompt", data: [...texts], type: "STRING" },
      { name: "number", data: texts.map((_, i) => BigInt(i)), type: "INT64" },
    ],
    codec,
    ...codec === "GZIP" && { compressors: { GZIP: (bytes) => new Uint8Array(gzipSync(bytes)) } },
    rowGroupSize: 7,
  }));
}

Deno.test("loadDataSet reads JSON lines, a JSON array and parquet to the same rows", () =>
  inFolder(async (folder) => {
    const rows = posts(20).map((prompt, number) => ({ prompt, number }));
    const files = {
      "lines.jsonl": new TextEncoder().encode(`${lines(rows)}\n\n`),
      "array.json": new TextEncoder().encode(JSON.stringify(rows)),
      "lines.json": new TextEncoder().encode(lines(rows)),
      "snappy.parquet": await parquet(posts(20)),
      "gzip.parquet": await parquet(posts(20), "GZIP"),
      "plain.parquet": await parquet(posts(20), "UNCOMPRESSED"),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const path = join(folder, name);
      writeFileSync(path, bytes);
      const set = await loadDataSet(path);
      assert.equal(set.name, path);
      assert.deepEqual(set.splits, { [name.split(".")[0]!]: rows }, name);
    }
  }));

Deno.test("item of a file holds a tenth out of training, and the same post is on one side", () =>
  inFolder(async (folder) => {
    const path = join(folder, "posts.jsonl");
    writeFileSync(path, lines([...posts(500), ...posts(500)].map((post) => ({ post }))));
    await useDataSet(path);
    const environment = createTldr({ data: path });
    const [train, held, all] = environment.splits();
    assert.deepEqual([train?.name, held?.name, all?.name, all?.size], [
      ...["train", "eval", "all"],
      1000,
    ]);
    assert.ok(held!.size! >= 60 && held!.size! <= 140 && train!.size! + held!.size! === 1000);
    const texts = (name: string, size: number) =>
      new Set(Array.from({ length: size }, (_, i) => environment.item(name, i).task.post));
    assert.ok(texts("train", train!.size!).isDisjointFrom(texts("eval", held!.size!)));
    assert.deepEqual(environment.task("tldr_all_000003").task, { post: posts(4)[3]! });
  }));

Deno.test("item of a lone test split is also found under its name, in parts as they are cited", () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, "test.jsonl"), lines(posts(50).map((post) => ({ post }))));
    await useDataSet(folder);
    const options = { data: folder, train_split: "test[33:43]", eval_split: "test[:8]" };
    const environment = createTldr(options);
    assert.deepEqual(environment.splits().map(({ name, size }) => [name, size]), [
      ...[["train", 10], ["eval", 8], ["all", 50], ["test", 50]],
    ]);
    assert.equal(environment.item("train", 0).task.post, posts(34)[33]);
  }));

Deno.test("loadDataSet takes a folder's files as splits, parts of one split together", () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, "README.md"), "# no rows");
    writeFileSync(join(folder, "dataset_infos.json"), "{}");
    writeFileSync(
      join(folder, "train-00000-of-00002.parquet"),
      await parquet(["a", "b"], "SNAPPY"),
    );
    writeFileSync(join(folder, "train-00001-of-00002.parquet"), await parquet(["c"]));
    writeFileSync(
      join(folder, "validation-00000-of-00001.parquet"),
      await parquet(["d"], "SNAPPY"),
    );
    registerDataSet(await loadDataSet(folder, "folder"));
    const environment = createTldr({ data: "folder" });
    assert.deepEqual(environment.splits().map(({ name, size }) => [name, size]), [
      ["train", 3],
      ["validation", 1],
      ["eval", 1],
    ]);
    assert.deepEqual(environment.item("train", 2).task, { post: "c" });
    assert.deepEqual(environment.item("eval", 0).task, { post: "d" });
  }));

Deno.test("partOf takes bounds as indices, per cents and fractions", () => {
  const splits = { train: Array.from({ length: 40 }, (_, i) => i), eval: [100] };
  const part = (text: string) => partOf(splits, text, "the test");
  assert.deepEqual(part("train[:3]"), [0, 1, 2]);
  assert.deepEqual(part("train[38:]"), [38, 39]);
  assert.deepEqual(part("train[5%:10%]"), [2, 3]);
  assert.deepEqual(part("[0.9:0.95]"), [36, 37]);
  assert.deepEqual(part("train[:1.0]").length, 40);
  assert.deepEqual(part("eval"), [100]);
  for (const bad of ["train[:x]", "train[", "train[1:2:3]", "train[:200%]", "train[:1.5]", "a b"]) {
    assert.throws(() => part(bad), /Cannot read split '/, bad);
  }
  assert.throws(() => part("trian[:3]"), /Cannot find split 'trian' of the test: did you mean/);
});

Deno.test("loadDataSet refuses what holds no rows and says where", () =>
  inFolder(async (folder) => {
    const refused = async (name: string, content: string | Uint8Array, message: RegExp) => {
      writeFileSync(join(folder, name), content);
      await assert.rejects(loadDataSet(join(folder, name)), (error: Error) => {
        assert.equal(error.name, "CollmError");
        assert.match(error.message, message);
        return true;
      });
    };
    await refused("a.csv", "post\nx", /holds no rows in files that end with \.parquet, \.jsonl/);
    await refused("empty.jsonl", "\n", /holds no rows/);
    await refused("bad.jsonl", `{"post":"a"}\n{"post":`, /bad\.jsonl', line 2: /);
    await refused("list.jsonl", "[1]", /list\.jsonl', line 1: a row must be an object$/);
    await refused("list.json", "[1]", /list\.json', item 0: a row must be an object$/);
    await refused("latin.jsonl", Uint8Array.of(0x7b, 0xe9), /latin\.jsonl': it is not UTF-8 text$/);
    await refused("no.parquet", "PAR?", /no\.parquet': /);
    await assert.rejects(loadDataSet(join(folder, "none.jsonl")), /Cannot load data set '.*none/);
    writeFileSync(join(folder, "other.jsonl"), lines([{ title: "x" }]));
    await useDataSet(join(folder, "other.jsonl"), "other");
    assert.throws(
      () => createTldr({ data: "other" }).splits(),
      /'tldr': row 0 of split 'other' has no text in column prompt or post or text, .* title$/,
    );
    mkdirSync(join(folder, "empty"));
    await assert.rejects(loadDataSet(join(folder, "empty")), /holds no rows/);
    assert.throws(() => registerDataSet({ name: "builtin", splits: {} }), /shipped data$/);
  }));

Deno.test("namedSource takes NAME=SOURCE apart and leaves a source alone", () => {
  assert.deepEqual(namedSource("posts=/data/a=b.jsonl"), ["/data/a=b.jsonl", "posts"]);
  assert.deepEqual(namedSource("/data/a=b.jsonl"), ["/data/a=b.jsonl", "/data/a=b.jsonl"]);
  assert.deepEqual(namedSource("hf:a/b"), ["hf:a/b", "hf:a/b"]);
});

dataTest(
  "arxiv plays real abstracts, and pairs of them earn rewards",
  "data/scitldr",
  async (path) => {
    registerDataSet(await loadDataSet(path, "scitldr"));
    const environment = createArxiv({ data: "scitldr" });
    assert.deepEqual(environment.splits().map(({ name, size }) => [name, size]), [
      ["dev", 619],
      ["test", 618],
      ["train", 1992],
      ["eval", 618],
    ]);
    const rewards = Array.from({ length: 300 }, (_, i) => {
      const [first, second] = [
        environment.item("dev", i).task,
        environment.item("dev", i + 1).task,
      ];
      const actions = { agent_1: first.abstract, agent_2: second.abstract };
      return environment.score(first, actions).rewards["agent_1"]!;
    });
    // Two abstracts of the usual 100 to 300 words: many pass the first level, some the last.
    assert.ok(rewards.filter((reward) => reward > 0).length > 50);
    assert.ok(rewards.some((reward) => reward > 1.7));
    assert.ok(rewards.every((reward) => reward <= environment.rewardRange[1]));
  },
);
