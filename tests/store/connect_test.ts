/**
 * Opening: migrations by many hosts, files that cannot be opened, servers that do not answer.
 */
import assert from "node:assert/strict";
import { getTableColumns } from "../../deps.ts";
import { openStore } from "../../shared/store/connect.ts";
import { embedMigrations } from "../../shared/store/embed.ts";
import { limit } from "../../shared/store/limit.ts";
import { migrate } from "../../shared/store/migrate.ts";
import { MIGRATIONS } from "../../shared/store/migrations.ts";
import { passes } from "../../shared/store/remote.ts";
import * as schema from "../../shared/store/schema.ts";
import { createRun } from "../../shared/store/runs.ts";
import { freePort } from "../support/sqld.ts";
import { testOnEveryStore, testOnServer } from "../support/stores.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-connect-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("embedMigrations gives what migrations.ts holds", async () => {
  const path = new URL("../../shared/store/migrations.ts", import.meta.url);
  assert.equal(await Deno.readTextFile(path), await embedMigrations());
  const folder = new URL("../../shared/store/migrations/", import.meta.url);
  for (const { name, sql } of MIGRATIONS) {
    assert.equal(sql, await Deno.readTextFile(new URL(`${name}.sql`, folder)));
  }
});

testOnEveryStore("migrate makes the tables of the schema", async ({ store }) => {
  for (const table of Object.values(schema)) {
    const columns = Object.values(getTableColumns(table)).map(({ name }) => name);
    const name = String(Reflect.get(table, Symbol.for("drizzle:Name")));
    const { rows } = await store.client.execute(`pragma table_info("${name}")`);
    assert.deepEqual(rows.map((row) => row.name), columns, name);
  }
});

testOnEveryStore("migrate applies each migration once, all of it or nothing", async ({ store }) => {
  const { client, name } = store;
  const more = [...MIGRATIONS, { name: "0001_more", sql: "create table more (id integer)" }];
  await Promise.all([1, 2, 3].map(() => migrate(client, name, more)));
  await client.execute("insert into more values (1)");
  const torn = [...more, {
    name: "0002_torn",
    sql: "create table torn (id integer)--> statement-breakpoint\ncreate table more (id integer)",
  }];
  await assert.rejects(migrate(client, name, torn), /already exists/);
  const { rows } = await client.execute("select name from sqlite_master where name = 'torn'");
  assert.deepEqual(rows, []);
  await assert.rejects(migrate(client, name), {
    code: "conflict",
    message: `Cannot open database '${name}': migration '0001_more' was applied by a newer ` +
      "version of this program",
  });
  const changed = [...MIGRATIONS, { name: "0001_more", sql: "create table other (id integer)" }];
  await assert.rejects(migrate(client, name, changed), {
    code: "conflict",
    message: `Cannot open database '${name}': migration '0001_more' differs from the one that ` +
      "was applied",
  });
});

testOnServer("openStore migrates once when many hosts start together", async ({ url }) => {
  const urls = [url, url, url.replace("http", "ws"), `${url.replace("http", "libsql")}?tls=0`];
  const stores = await Promise.all(urls.map((one) => openStore(one)));
  for (const store of stores) {
    const { rows } = await store.client.execute("select name from migrations");
    assert.equal(rows.length, MIGRATIONS.length);
    await store.close();
  }
});

Deno.test("openStore names what is wrong with a file", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.db`, "not a database ".repeat(1000));
    const refusals = [
      [`file:${folder}/none/x.db`, `folder '${folder}/none' does not exist`],
      [`file:${folder}`, "it is a folder, not a file"],
      [`file:${folder}/text.db/x.db`, `'${folder}/text.db' is not a folder`],
      [`file:${folder}/text.db`, "the file is corrupt or not a database"],
      ["file:", "it names no file"],
      ["file::memory:", "it names no file"],
      [
        "store.db",
        "its address must start with file: or http:, https:, ws:, wss:, libsql:",
      ],
    ] as const;
    for (const [url, why] of refusals) {
      await assert.rejects(openStore(url), { message: `Cannot open database '${url}': ${why}` });
    }
    assert.equal((await Deno.readTextFile(`${folder}/text.db`)).length, 15_000);
  });
  await assert.rejects(openStore("file:x.db", { retrys: 1 } as never), {
    message: "Cannot open database: unknown option 'retrys', did you mean 'retries'?",
  });
});

Deno.test({
  name: "openStore says that a folder is not writable",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await assert.rejects(openStore("file:/proc/store.db"), {
      code: "unavailable",
      message: "Cannot open database 'file:/proc/store.db': the file or its folder is not writable",
    });
  },
});

Deno.test("openStore refuses a database with damaged pages and leaves it as it is", async () => {
  await inFolder(async (folder) => {
    const url = `file:${folder}/store.db`;
    const store = await openStore(url);
    await store.close();
    const bytes = await Deno.readFile(`${folder}/store.db`);
    bytes.fill(0xa5, 4096, bytes.length);
    await Deno.writeFile(`${folder}/store.db`, bytes);
    await assert.rejects(openStore(url), {
      code: "unavailable",
      message: `Cannot open database '${url}': the file is corrupt`,
    });
    assert.deepEqual((await Deno.readFile(`${folder}/store.db`)).slice(4096), bytes.slice(4096));
  });
});

Deno.test("openStore opens a file again after close, with one file left", async () => {
  await inFolder(async (folder) => {
    for (let round = 0; round < 3; round++) {
      const store = await openStore(`file:${folder}/store.db`);
      await assert.rejects(openStore(`file:${folder}/store.db`), /owns it/);
      await store.close();
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["store.db"]);
    }
  });
});

Deno.test("openStore says that the disk is full and goes on when it is not", async () => {
  await inFolder(async (folder) => {
    const url = `file:${folder}/store.db`;
    const store = await openStore(url);
    const { rows } = await store.client.execute("pragma page_count");
    await store.client.execute(`pragma max_page_count = ${rows[0]!.page_count}`);
    const run = { id: "r1", environment: "relay", options: {}, agents: [] };
    const config = { text: "x".repeat(100_000) };
    await assert.rejects(createRun(store, { ...run, config }), {
      code: "unavailable",
      message: `Cannot use database '${url}': the disk is full`,
    });
    await store.client.execute("pragma max_page_count = 100000");
    assert.equal((await createRun(store, { ...run, config })).id, "r1");
    await store.close();
  });
});

testOnEveryStore("openStore refuses interactive transactions", async ({ store }) => {
  await assert.rejects(store.db.transaction(() => Promise.resolve()), {
    code: "internal",
    message: "Cannot call 'transaction' on the store: write in one batch instead",
  });
});

Deno.test("openStore gives up a server that never answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) open.push(connection);
  })();
  const { port } = listener.addr;
  for (const scheme of ["http", "ws"]) {
    const url = `${scheme}://127.0.0.1:${port}`;
    await assert.rejects(openStore(url, { timeout_ms: 100, retries: 1 }), (error: Error) => {
      assert.match(error.message, new RegExp(`^Cannot reach database '${url}' in 2 tries: `));
      return true;
    });
  }
  for (const connection of open) connection.close();
  listener.close();
  await accepting;
});

Deno.test("openStore says that nothing listens, without the token of the address", async () => {
  const url = `http://127.0.0.1:${freePort()}`;
  await assert.rejects(openStore(`${url}?authToken=secret`, { retries: 1 }), (error: Error) => {
    assert.match(error.message, new RegExp(`^Cannot reach database '${url}' in 2 tries: `));
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

Deno.test("passes tells errors that pass from those that stay", () => {
  const coded = (code: string) => Object.assign(new Error("x"), { code });
  for (const code of ["SQLITE_BUSY", "STREAM_EXPIRED", "HRANA_WEBSOCKET_ERROR"]) {
    assert.ok(passes(new Error("wrapped", { cause: coded(code) })), code);
  }
  assert.ok(passes(new DOMException("late", "TimeoutError")));
  assert.ok(passes(new TypeError("fetch failed")));
  assert.ok(passes(new Error("SERVER_ERROR: Server returned HTTP status 429")));
  assert.ok(!passes(coded("SQLITE_CONSTRAINT")));
  assert.ok(!passes(new TypeError("undefined cannot be passed as argument to the database")));
});

Deno.test("limit runs calls in their order, so many at once", async () => {
  for (const width of [1, 3]) {
    const queue = limit(width);
    const started: number[] = [];
    let most = 0, now = 0;
    const calls = Array.from({ length: 10 }, (_, i) =>
      queue(async () => {
        started.push(i);
        most = Math.max(most, ++now);
        await new Promise((resume) => setTimeout(resume, 1));
        now--;
        if (i === 4) throw new Error("a call that fails");
        return i;
      }));
    const results = await Promise.allSettled(calls);
    assert.equal(results[4]!.status, "rejected");
    assert.equal(results[9]!.status, "fulfilled");
    assert.deepEqual(started, [...started.keys()]);
    assert.equal(most, width);
  }
});
