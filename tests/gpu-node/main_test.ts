/** The GPU server as a process: flags, the address it prints, refusals, draining on SIGTERM. */
import assert from "node:assert/strict";
import { openHttpNode } from "../../gpu-node/client/http.ts";
import { callJson } from "../../shared/wire/call.ts";
import { REPOSITORY } from "../support/data.ts";
import { golden, sequences, TINY } from "./served.ts";

function start(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "gpu-node/main.ts", ...args],
    cwd: REPOSITORY,
    env: { COLLM_TOKEN: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Exit code and outputs of a run that ends by itself. */
async function run(args: string[], env?: Record<string, string>) {
  const { code, stdout, stderr } = await start(args, env).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("deno task gpu serves its models, and on SIGTERM answers what is under way and ends", async () => {
  const checkpoints = await Deno.makeTempDir();
  const child = start(
    [
      "--port",
      "0",
      "--model",
      `tiny=${TINY}`,
      "--model",
      `b=${TINY}`,
      "--checkpoints",
      checkpoints,
      "--threads",
      "3",
    ],
    { COLLM_TOKEN: "secret" },
  );
  const [lines, forTest] = child.stdout.tee();
  const reader = forTest.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  while (!printed.includes("\n")) {
    const { value, done } = await reader.read();
    assert.ok(!done, "the process ended before it listened");
    printed += value;
  }
  assert.match(printed, /^GPU node at http:\/\/127\.0\.0\.1:\d+ on cpu with tiny, b\n$/);
  const url = /http:\S+/.exec(printed)![0];
  const node = openHttpNode(url, { token: "secret", retries: 0 });
  assert.deepEqual((await node.list()).map((p) => p.policy), ["tiny", "b"]);
  assert.equal((await node.health()).threads, 3);
  const { logprobs } = await node.score("b", sequences);
  assert.ok(Math.abs(logprobs[0]![0]! - golden.response_logprobs[0][0]) < 1e-4);

  let answered = false;
  const rows = Array.from({ length: 2048 }, (_, i) => i);
  const long = node.sample({
    policy: "tiny",
    prompts: rows.map((i) => [i % 97]),
    seeds: rows,
    max_tokens: 64,
    temperature: 1,
    stop_tokens: [],
  }).finally(() => answered = true);
  // Answered without the worker, and after the request above has come in.
  await callJson("GET", `${url}/v1/models`, undefined, { token: "secret" });
  assert.equal(answered, false);
  child.kill("SIGTERM");
  assert.equal((await long).completions.length, rows.length);
  const { code } = await child.status;
  assert.equal(code, 0);
  await reader.cancel();
  await lines.cancel();
  assert.equal(await new Response(child.stderr).text(), "");
  await Deno.remove(checkpoints, { recursive: true });
});

const REFUSED: [string, string[], RegExp][] = [
  ["a folder that does not exist", ["--model", "x=/nowhere"], /^Error: Cannot .*\/nowhere.*\n$/],
  [
    "a model without a name",
    ["--model", TINY],
    /^Error: Cannot use --model '.*': expected NAME=FOLDER\n$/,
  ],
  ["a name with a slash", ["--model", `a/b=${TINY}`], /the name may hold letters/],
  ["the same name twice", ["--model", "x=a", "--model", "x=b"], /'x' is taken\n$/],
  [
    "a port out of range",
    ["--port", "70000"],
    /^Error: Cannot use --port '70000': expected a whole number from 0 to 65535\n$/,
  ],
  [
    "no threads",
    ["--threads", "0"],
    /^Error: Cannot use --threads '0': expected a whole number from 1 to 1024\n$/,
  ],
  ["an open address without a token", ["--host", "0.0.0.0"], /without a token.*COLLM_TOKEN\n$/],
  ["an unknown flag", ["--prot", "1"], /unknown option '--prot'/],
];

for (const [what, args, message] of REFUSED) {
  Deno.test(`deno task gpu refuses ${what} with one clear sentence`, async () => {
    const { code, stdout, stderr } = await run(args);
    assert.match(stderr, message);
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });
}

Deno.test({
  name: "deno task gpu --device webgpu without a driver says so, and no driver says more",
  // Elsewhere the driver is part of the system.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const env = { VK_DRIVER_FILES: "/nowhere/icd.json", VK_LOADER_LAYERS_DISABLE: "~all~" };
    const { code, stderr } = await run(["--device", "webgpu", "--port", "0"], env);
    assert.match(stderr, /^Error: Cannot use device 'webgpu': .*(adapter|Vulkan).*\n$/);
    assert.equal(code, 1);
  },
});

Deno.test("deno task gpu says that its port is in use", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, stderr } = await run(["--port", String(taken.addr.port)]);
  taken.close();
  assert.equal(
    stderr,
    `Error: Cannot listen on 127.0.0.1:${taken.addr.port}: the port is in use\n`,
  );
  assert.equal(code, 1);
});

Deno.test("deno task gpu --help shows every flag", async () => {
  const { code, stdout } = await run(["--help"]);
  for (const flag of ["--port", "--host", "--model", "--threads", "--allow-hub", "COLLM_TOKEN"]) {
    assert.ok(stdout.includes(flag), flag);
  }
  assert.equal(code, 0);
});
