/** Safetensors files and checkpoint folders: golden files, every kind of damage, atomic writing. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import { loadFastCheck } from "../../deps.ts";
import { writeFileAtomic } from "../../gpu-node/model/files.ts";
import {
  openSafetensors,
  readSafetensors,
  writeSafetensors,
} from "../../gpu-node/model/safetensors.ts";
import { CollmError } from "../../shared/errors.ts";
import { dataTest, GOLDEN } from "../support/data.ts";

const LLAMA = join(GOLDEN, "torch", "llama-tiny", "model.safetensors");
const folder = () => mkdtempSync(join(tmpdir(), "collm-safetensors-"));
const utf8 = new TextEncoder();

/** A file of the format with any header text and body, valid or not. */
function file(header: unknown, body = new Uint8Array(), length?: number): string {
  const json = utf8.encode(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(length ?? json.length), true);
  const path = join(folder(), "x.safetensors");
  writeFileSync(path, Buffer.concat([prefix, json, body]));
  return path;
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CollmError, `${error}`);
    assert.match(error.message, /^[A-Z].*[^.]$/s);
    return error.message;
  }
  throw new assert.AssertionError({ message: "it was accepted" });
}

Deno.test("readSafetensors reads the golden Llama: names, shapes and values", () => {
  const { tensors } = readSafetensors(LLAMA);
  assert.equal(tensors.size, 20);
  const embedding = tensors.get("model.embed_tokens.weight")!;
  assert.deepEqual(embedding.shape, [97, 32]);
  assert.equal(embedding.dtype, "F32");
  const bytes = readFileSync(LLAMA);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const at = (i: number) => bytes.readFloatLE(start + 4 * i);
  assert.equal(embedding.data[0], at(0));
  assert.equal(embedding.data[97 * 32 - 1], at(97 * 32 - 1));
  const norm = tensors.get("model.norm.weight")!;
  assert.equal(norm.data[31], bytes.readFloatLE(bytes.length - 4));
});

for (const family of ["llama-tiny", "qwen2-tiny", "qwen3-tiny"]) {
  dataTest(`readSafetensors reads all of ${family}`, `golden/torch/${family}`, (path) => {
    for (const name of ["model", "lora", "value_head"]) {
      const { tensors } = readSafetensors(join(path, `${name}.safetensors`));
      assert.ok(tensors.size > 3);
      for (const { data } of tensors.values()) assert.ok(data.every(Number.isFinite));
    }
  });
}

dataTest("readCheckpointTensors reads a real checkpoint", "models/tinystories-260k", (path) => {
  const tensors = readCheckpointTensors(path);
  assert.deepEqual(tensors.get("model.layers.4.mlp.down_proj.weight")!.shape, [64, 172]);
  const parameters = [...tensors.values()].reduce((n, { data }) => n + data.length, 0);
  assert.equal(parameters, 260_032);
});

Deno.test("writeSafetensors writes what readSafetensors reads back, bit for bit", () => {
  const path = join(folder(), "model.safetensors");
  const { tensors } = readSafetensors(LLAMA);
  writeSafetensors(path, tensors, { step: "3" });
  const back = readSafetensors(path);
  assert.deepEqual(back.metadata, { format: "pt", step: "3" });
  assert.equal(back.tensors.size, tensors.size);
  for (const [name, tensor] of tensors) assert.deepEqual(back.tensors.get(name), tensor);
});

Deno.test("writeSafetensors keeps NaN, infinities, empty tensors, scalars and odd names", () => {
  const path = join(folder(), "model.safetensors");
  const tensors = new Map([
    ['ß "quoted" \n', { shape: [3], data: Float32Array.of(NaN, -Infinity, -0) }],
    ["__proto__", { shape: [], data: Float32Array.of(2) }],
    ["7", { shape: [0, 4], data: new Float32Array() }],
  ]);
  writeSafetensors(path, tensors);
  const back = readSafetensors(path).tensors;
  assert.equal(back.size, 3);
  for (const [name, { shape, data }] of tensors) {
    assert.deepEqual(back.get(name), { dtype: "F32", shape, data });
  }
});

Deno.test("writeSafetensors gives the same bytes whatever the order of the tensors", () => {
  const [a, b] = [join(folder(), "a"), join(folder(), "b")];
  const { tensors } = readSafetensors(LLAMA);
  writeSafetensors(a, tensors, { x: "1", a: "2" });
  writeSafetensors(b, new Map([...tensors].reverse()), { a: "2", x: "1" });
  assert.deepEqual(readFileSync(a), readFileSync(b));
  assert.equal(Number(readFileSync(a).readBigUInt64LE(0)) % 8, 0);
});

Deno.test("writeSafetensors refuses a wrong shape and leaves the old file and no other", () => {
  const path = join(folder(), "model.safetensors");
  writeFileSync(path, "old");
  const wrong = new Map([["w", { shape: [2, 2], data: new Float32Array(3) }]]);
  assert.match(refusal(() => writeSafetensors(path, wrong)), /tensor 'w'.*shape \[2,2\].*3 values/);
  const reserved = new Map([["__metadata__", { shape: [1], data: new Float32Array(1) }]]);
  assert.match(refusal(() => writeSafetensors(path, reserved)), /reserved/);
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.deepEqual(readdirSync(join(path, "..")), ["model.safetensors"]);
});

Deno.test("writeSafetensors names a missing folder and a folder that may not be written", () => {
  const tensors = new Map([["w", { shape: [1], data: new Float32Array(1) }]]);
  const missing = join(folder(), "none", "model.safetensors");
  assert.match(refusal(() => writeSafetensors(missing, tensors)), /none.*no such file or folder/);
  if (Deno.build.os === "windows" || Deno.uid() === 0) return; // root may write anywhere
  const readOnly = folder();
  chmodSync(readOnly, 0o500);
  assert.match(refusal(() => writeSafetensors(join(readOnly, "w"), tensors)), /permission denied/);
});

Deno.test("writeFileAtomic leaves the old file alone when the disk fills up half way", () => {
  const path = join(folder(), "model.safetensors");
  writeFileSync(path, "old");
  const chunks = function* () {
    yield new Uint8Array(1000);
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  const message = refusal(() => writeFileAtomic(path, chunks()));
  assert.match(message, /Cannot write '.*model\.safetensors': no space left on the device/);
  assert.deepEqual(readdirSync(join(path, "..")), ["model.safetensors"]);
  assert.equal(readFileSync(path, "utf8"), "old");
});

Deno.test("readSafetensors widens F16 and BF16 exactly", () => {
  const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const path = file(
    { h: entry(0, 131072, [65536], "F16"), b: entry(131072, 262144, [65536], "BF16") },
    new Uint8Array([...new Uint8Array(patterns.buffer), ...new Uint8Array(patterns.buffer)]),
  );
  const { tensors } = readSafetensors(path);
  const { data: half, dtype } = tensors.get("h")!;
  const { data: brain } = tensors.get("b")!;
  assert.equal(dtype, "F16");
  const view = new DataView(new ArrayBuffer(4));
  for (const bits of patterns) {
    view.setUint32(0, bits * 65536);
    assert.ok(Object.is(brain[bits], view.getFloat32(0)) || Number.isNaN(brain[bits]));
    const sign = bits >= 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const value = exponent === 0
      ? sign * fraction * 2 ** -24
      : exponent === 31
      ? (fraction ? NaN : sign * Infinity)
      : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    assert.ok(Object.is(half[bits], value), `${bits}: ${half[bits]} is not ${value}`);
  }
});

Deno.test("readSafetensors widens tensors of many pieces like those of one", () => {
  const count = (1 << 23) + 5;
  const halves = Uint16Array.from({ length: count }, (_, i) => 0x3c00 + i % 997);
  const bytes = new Uint8Array(halves.buffer);
  for (const dtype of ["F16", "BF16"]) {
    const path = file({ w: entry(0, 2 * count, [count], dtype) }, bytes);
    const { data } = openSafetensors(path).tensors.get("w")!;
    assert.equal(data.length, count);
    for (let i = 0; i < 997; i++) {
      for (let j = i; j < count; j += 997) if (data[j] !== data[i]) assert.fail(`${dtype} ${j}`);
    }
    Deno.removeSync(path);
  }
});

Deno.test("openSafetensors reads a tensor when it is asked for, from the file that was opened", () => {
  const path = join(folder(), "model.safetensors");
  const values = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
  writeSafetensors(path, new Map([["a", values(1, 2)], ["b", values(3)]]));
  const opened = openSafetensors(path).tensors;
  assert.deepEqual([...opened.keys()], ["a", "b"]);
  assert.deepEqual(opened.get("b")!.data, Float32Array.of(3));
  const first = opened.get("a")!.data;
  first[0] = 7;
  assert.deepEqual(opened.get("a")!.data, Float32Array.of(1, 2));

  writeSafetensors(path, new Map([["a", values(5, 6)], ["b", values(7)]]));
  assert.match(
    refusal(() => opened.get("a")!.data),
    /^Cannot read tensor 'a' of '.*model\.safetensors': the file has changed since it was opened$/,
  );
  Deno.removeSync(path);
  assert.match(refusal(() => opened.get("a")!.data), /no such file/);
});

Deno.test("openSafetensors reads any file to whole tensors or refuses it in a sentence", async () => {
  const { default: fc } = await loadFastCheck();
  const whole = readFileSync(LLAMA);
  const path = join(folder(), "fuzzed.safetensors");
  const start = 8 + Number(whole.readBigUInt64LE(0));
  const change = fc.record({
    at: fc.oneof(fc.nat(start + 8), fc.nat(whole.length - 1)),
    bytes: fc.uint8Array({ maxLength: 6 }),
    cut: fc.oneof(fc.constant(whole.length), fc.nat(whole.length)),
  });
  let refused = 0;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let bytes = Uint8Array.from(whole);
      for (const { at, bytes: patch, cut } of changes) {
        bytes.set(patch.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
        bytes = bytes.slice(0, cut);
      }
      writeFileSync(path, bytes);
      try {
        for (const { shape, data } of openSafetensors(path).tensors.values()) {
          assert.equal(data.length, shape.reduce((a, b) => a * b, 1));
        }
      } catch (error) {
        assert.ok(error instanceof CollmError, `${error}`);
        assert.match(error.message, /^Cannot read .*fuzzed\.safetensors': ./s);
        refused++;
      }
    }),
    { numRuns: 300, seed: 1 },
  );
  assert.ok(refused > 100 && refused < 300, `${refused}`);
});

Deno.test("readSafetensors refuses every truncation of a file", () => {
  const whole = readFileSync(file({ w: entry(0, 8) }, new Uint8Array(8)));
  const path = join(folder(), "cut.safetensors");
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    assert.match(refusal(() => readSafetensors(path)), /cut\.safetensors/);
  }
  writeFileSync(path, whole);
  assert.equal(readSafetensors(path).tensors.get("w")!.data.length, 2);
});

Deno.test("readSafetensors names file and tensor of each kind of damage", () => {
  const body = new Uint8Array(16);
  const damage: [string, RegExp][] = [
    [file({}, body, 2 ** 40), /header claims 1099511627776 bytes/],
    [file("[]"), /not a JSON object/],
    [file("{not json"), /not valid JSON/],
    [file({ __metadata__: { a: 1 } }), /__metadata__ is not a map of strings/],
    [file({ w: entry(0, 16, [4], "I64") }, body), /tensor 'w' has dtype "I64", known: F32, F16/],
    [file({ w: { shape: [4], data_offsets: [0, 16] } }, body), /tensor 'w' has dtype undefined/],
    [file({ w: entry(0, 16, [5]) }, body), /tensor 'w' has 16 bytes, its shape needs 20/],
    [file({ w: entry(0, 16, [-4]) }, body), /tensor 'w' has no valid shape: \[-4\]/],
    [file({ w: entry(0, 16, [2 ** 40, 2 ** 40]) }, body), /tensor 'w' has no valid shape/],
    [file({ w: entry(0, 20) }, body), /truncated, tensor 'w' ends at byte 20 of 16/],
    [file({ w: entry(-4, 12) }, body), /tensor 'w' has no valid data_offsets/],
    [file({ w: { dtype: "F32", shape: [4] } }, body), /tensor 'w' has no valid data_offsets/],
    [file({ v: entry(0, 12), w: entry(8, 16) }, body), /tensor 'w' begins at byte 8.* ends at 12/],
    [file({ v: entry(0, 4), w: entry(8, 16) }, body), /tensor 'w' begins at byte 8.* ends at 4/],
    [file({ w: entry(0, 12) }, body), /4 bytes at its end belong to no tensor/],
    [file({ w: null }, body), /tensor 'w' has dtype undefined/],
  ];
  for (const [path, expected] of damage) {
    const message = refusal(() => readSafetensors(path));
    assert.match(message, expected);
    assert.ok(message.includes(path));
  }
});

Deno.test("readSafetensors names a missing file and a folder in its place", () => {
  const missing = join(folder(), "none.safetensors");
  assert.match(refusal(() => readSafetensors(missing)), /none\.safetensors': no such file/);
  assert.match(refusal(() => readSafetensors(folder())), /Cannot read '.*': it is a folder/);
});

/** A checkpoint of two shards; `change` edits the index before it is written. */
function sharded(change: (map: Record<string, unknown>) => void = () => {}): string {
  const path = folder();
  const one = (value: number) => ({ shape: [1], data: Float32Array.of(value) });
  writeSafetensors(join(path, "m-1.safetensors"), new Map([["a", one(1)], ["b", one(2)]]));
  writeSafetensors(join(path, "m-2.safetensors"), new Map([["c", one(3)]]));
  const map = { a: "m-1.safetensors", b: "m-1.safetensors", c: "m-2.safetensors" };
  change(map);
  const index = JSON.stringify({ metadata: {}, weight_map: map });
  writeFileSync(join(path, "model.safetensors.index.json"), index);
  return path;
}

Deno.test("readCheckpointTensors reads shards through their index", () => {
  const tensors = readCheckpointTensors(sharded());
  assert.deepEqual([...tensors].map(([name, { data }]) => [name, data[0]]), [
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);
});

Deno.test("readCheckpointTensors names file, tensor and place of a value that is not finite", () => {
  for (const [bad, shown] of [[NaN, "NaN"], [-Infinity, "-Infinity"]] as const) {
    const path = folder();
    const tensors = new Map([["w", { shape: [2, 2], data: Float32Array.of(1, 2, bad, bad) }]]);
    writeSafetensors(join(path, "model.safetensors"), tensors);
    const message = refusal(() => readCheckpointTensors(path).get("w")!.data);
    const file = join(path, "model.safetensors");
    assert.equal(message, `Cannot use '${file}': tensor 'w' holds ${shown} at index 2`);
  }
});

Deno.test("readCheckpointTensors names what does not fit in index, shards or folder", () => {
  const read = (change: (map: Record<string, unknown>) => void) =>
    refusal(() => readCheckpointTensors(sharded(change)));
  assert.match(read((map) => map.d = "m-2.safetensors"), /m-2\.safetensors lacks tensor 'd'/);
  assert.match(read((map) => delete map.b), /m-1\.safetensors holds tensor 'b'.*names no file/);
  assert.match(read((map) => map.c = "m-3.safetensors"), /m-3\.safetensors': no such file/);
  assert.match(read((map) => map.c = "../m-2.safetensors"), /tensor 'c' has no plain file name/);
  assert.match(read((map) => map.c = ".."), /'c' has no plain file name|it is a folder/);
  const empty = folder();
  assert.match(refusal(() => readCheckpointTensors(empty)), /neither model\.safetensors nor/);
  writeFileSync(join(empty, "model.safetensors.index.json"), "{}");
  assert.match(refusal(() => readCheckpointTensors(empty)), /it has no weight_map/);
});
