/** Data sets of the Hugging Face hub, from a server on this machine that answers as the hub does. */
import assert from "node:assert/strict";
import { loadParquetWriter } from "../../../deps.ts";
import { hubFiles } from "../../../shared/environments/data/hub.ts";
import { loadDataSet } from "../../../shared/environments/data/load.ts";

interface Hub {
  url: string;
  /** Method, path and authorization of every request. */
  asked: string[];
}

/** Serves the files of data set `owner/posts` by the hub's routes while `body` runs. */
async function withHub(
  files: Record<string, Uint8Array<ArrayBuffer>>,
  body: (hub: Hub) => Promise<void>,
): Promise<void> {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    const authorization = request.headers.get("authorization") ?? "-";
    asked.push(`${request.method} ${pathname} ${authorization}`);
    const [, revision, folder = ""] =
      /^\/api\/datasets\/owner\/posts\/tree\/(\w+)(?:\/(.+))?$/.exec(pathname) ?? [];
    if (revision !== undefined) {
      return Response.json(
        Object.entries(files).filter(([path]) => path.startsWith(folder)).map(([path, bytes]) => (
          { type: "file", path, size: bytes.length, oid: "0" }
        )),
      );
    }
    const path = /^\/datasets\/owner\/posts\/resolve\/\w+\/(.+)$/.exec(pathname)?.[1];
    const bytes = path === undefined ? undefined : files[path];
    if (!bytes) return Response.json({ error: "Repository not found" }, { status: 401 });
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    const [from, to] = range
      ? [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)]
      : [0, bytes.length];
    return new Response(bytes.slice(from, to), {
      status: range ? 206 : 200,
      headers: {
        "content-range": `bytes ${from}-${to - 1}/${bytes.length}`,
        etag: '"x"',
      },
    });
  });
  try {
    await body({ url: `http://127.0.0.1:${server.addr.port}`, asked });
  } finally {
    await server.shutdown();
  }
}

const { parquetWriteBuffer } = await loadParquetWriter();
const parquet = (texts: string[]) =>
  new Uint8Array(
    parquetWriteBuffer({ columnData: [{ name: "prompt", data: texts, type: "STRING" }] }),
  );
const text = (value: string) => new TextEncoder().encode(value);

Deno.test("loadDataSet reads the parquet files of a data set on the hub, with a token", () =>
  withHub({
    "README.md": text("# posts"),
    "dataset_infos.json": text("{}"),
    "data/train-00000-of-00002.parquet": parquet(["one", "two"]),
    "data/train-00001-of-00002.parquet": parquet(["three"]),
    "data/test-00000-of-00001.parquet": parquet(["four"]),
  }, async ({ url, asked }) => {
    const set = await loadDataSet("hf:owner/posts", "posts", { url, token: "hf_secret" });
    assert.deepEqual(set, {
      name: "posts",
      splits: {
        test: [{ prompt: "four" }],
        train: [{ prompt: "one" }, { prompt: "two" }, { prompt: "three" }],
      },
    });
    assert.ok(asked.every((line) => line.endsWith(" Bearer hf_secret")));
    assert.ok(asked.every((line) => !line.includes("README")));
  }));

Deno.test("loadDataSet takes a folder and a revision of a data set on the hub", () =>
  withHub({
    "full/train.jsonl": text('{"prompt":"a"}'),
    "small/train.jsonl": text('{"prompt":"b"}'),
  }, async ({ url, asked }) => {
    await assert.rejects(
      loadDataSet("hf:owner/posts", "posts", { url }),
      /split 'train' is in several folders, name one of 'hf:owner\/posts\/full', 'hf:owner/,
    );
    const set = await loadDataSet("hf:owner/posts@v2/small", "posts", { url });
    assert.deepEqual(set.splits, { train: [{ prompt: "b" }] });
    assert.ok(asked.some((line) => line.startsWith("GET /api/datasets/owner/posts/tree/v2/small")));
    assert.ok(asked.some((line) => line.includes("/resolve/v2/small/train.jsonl")));
  }));

Deno.test("hubFiles says what the hub answered, and what a source must look like", async () => {
  await withHub({}, async ({ url }) => {
    await assert.rejects(hubFiles("hf:owner/secret", { url }), {
      code: "not_found",
      message: /^Cannot load data set 'hf:owner\/secret': the hub answered 401, /,
    });
  });
  await assert.rejects(hubFiles("hf:owner/posts", { url: "http://127.0.0.1:1" }), {
    code: "unavailable",
    message: /^Cannot load data set 'hf:owner\/posts': /,
  });
  await assert.rejects(hubFiles("hf:posts", { url: "http://127.0.0.1:1" }), {
    code: "invalid_request",
    message: /it must look like hf:owner\/name/,
  });
});
