/** Flags of every command: what is read, and the one sentence for what is not. */
import assert from "node:assert/strict";
import { CollmError } from "../../shared/errors.ts";
import {
  address,
  type FlagReader,
  oneOf,
  port,
  seed,
  temperature,
  whole,
} from "../../shared/flags.ts";

function takes<T>(reader: FlagReader<T>, ...pairs: [string, T][]): void {
  for (const [text, value] of pairs) assert.equal(reader(text), value, text);
}

function refuses(reader: FlagReader<unknown>, expected: string, ...texts: string[]): void {
  for (const text of texts) {
    assert.throws(() => reader(text), (error) => {
      assert.ok(error instanceof CollmError && error.code === "invalid_request");
      assert.ok(error.message.startsWith(`Cannot use --`), error.message);
      assert.ok(error.message.includes(`'${text.slice(0, 60)}`), error.message);
      assert.ok(error.message.endsWith(`: expected ${expected}`), error.message);
      assert.ok(error.message.length < 250, error.message);
      return true;
    });
  }
}

const NO_NUMBERS = ["", " ", "abc", "NaN", "Infinity", "1,5", "0x10", "-1", "9".repeat(100_000)];

Deno.test("whole reads digits within its range, both ends allowed", () => {
  takes(whole("--batch", 1, 64), ["1", 1], ["64", 64], ["007", 7]);
  refuses(
    whole("--batch", 1, 64),
    "a whole number from 1 to 64",
    ...["0", "65", "2.5", "1e1", "+3"],
    ...NO_NUMBERS,
  );
  refuses(whole("--budget", 1), "a whole number of at least 1", "0", "9007199254740992");
});

Deno.test("port and seed are whole numbers of their range", () => {
  takes(port, ["0", 0], ["65535", 65535]);
  refuses(port, "a whole number from 0 to 65535", "65536", ...NO_NUMBERS);
  takes(seed, ["0", 0], ["4294967295", 4294967295]);
  refuses(seed, "a whole number from 0 to 4294967295", "4294967296", ...NO_NUMBERS);
});

Deno.test("temperature is 0 or what sampling can divide by", () => {
  takes(temperature, ["0", 0], ["0.001", 0.001], [".5", 0.5], ["1e3", 1000], ["1.", 1]);
  const expected = "0 (greedy) or a number from 0.001 to 1000";
  refuses(temperature, expected, "0.0009", "1001", "1e400", "1e", ...NO_NUMBERS);
});

Deno.test("address begins with http:// or https:// and names a host", () => {
  const url = "http://127.0.0.1:8000";
  takes(address("--edge"), [url, url], ["https://edge.example/path", "https://edge.example/path"]);
  const expected = "an address that begins with http:// or https://";
  refuses(address("--edge"), expected, "", "localhost:8000", "http:///x", "ftp://x", "http://[");
});

Deno.test("oneOf reads one of its names and nothing near them", () => {
  const device = oneOf("--device", ["cpu", "webgpu"]);
  takes(device, ["cpu", "cpu"], ["webgpu", "webgpu"]);
  refuses(device, "one of cpu, webgpu", "", "CPU", "gpu", "cpu ");
});
