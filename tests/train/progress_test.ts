/** The progress line: its text, its rewriting on a terminal, its pace elsewhere. */
import assert from "node:assert/strict";
import {
  clock,
  formatProgress,
  type Progress,
  progressLine,
  type ProgressOutput,
  short,
} from "../../train/progress.ts";

const snapshot: Progress = {
  phase: "train",
  done: 4096,
  budget: 8192,
  seconds: 43,
  episodes: 4096,
  tokens: 920_000,
  return_mean: 0.8149,
  value_loss: 0.12345,
};

/** An output that collects what is written, with a clock that the test moves. */
function collector(columns: number | null) {
  const state = { text: "", seconds: 0 };
  const output: ProgressOutput = {
    write: (text) => void (state.text += text),
    columns: () => columns,
    now: () => state.seconds,
  };
  return { state, line: progressLine(output) };
}

Deno.test("formatProgress gives rates, return, value loss and the time left", () => {
  assert.equal(
    formatProgress(snapshot),
    "train 4096/8192 50%  95.3 episodes/s  21.4K tokens/s  return 0.81  value loss 0.123  ETA 0:43",
  );
});

Deno.test("formatProgress leaves out what is not known and never shows NaN", () => {
  const { return_mean: _, value_loss: __, ...rest } = snapshot;
  const start = { ...rest, done: 0, seconds: 0, episodes: 0, tokens: 0 };
  assert.equal(
    formatProgress(start),
    "train 0/8192 0%  0.00 episodes/s  0.00 tokens/s  ETA ?",
  );
});

Deno.test("formatProgress measures pace on what this process did", () => {
  assert.match(formatProgress({ ...snapshot, resumed: 2048, seconds: 20 }), /ETA 0:40$/);
});

Deno.test("short keeps three significant digits", () => {
  const expected: [number, string][] = [
    [0, "0.00"],
    [7.314, "7.31"],
    [9.996, "10.0"],
    [99.96, "100"],
    [999.6, "1.00K"],
    [21_395, "21.4K"],
    [3.2e6, "3.20M"],
    [5e12, "5000G"],
  ];
  for (const [value, text] of expected) assert.equal(short(value), text);
});

Deno.test("clock shows minutes, hours and the unknown", () => {
  assert.deepEqual([0, 59.6, 725, 11_220, NaN].map(clock), [
    "0:00",
    "1:00",
    "12:05",
    "3:07:00",
    "?",
  ]);
});

Deno.test("progressLine rewrites one line on a terminal and cuts it to the width", () => {
  const { state, line } = collector(20);
  line.update(snapshot);
  line.update({ ...snapshot, done: 5000 }); // too soon: not drawn
  assert.equal(state.text, "\r\x1b[2Ktrain 4096/8192 50%".slice(0, 5 + 19));
  state.text = "";
  line.done(); // the latest snapshot stands
  assert.ok(state.text.startsWith("\r\x1b[2Ktrain 5000/8192"));
  assert.ok(state.text.endsWith("\n"));
});

Deno.test("progressLine writes plain lines at most every ten seconds elsewhere", () => {
  const { state, line } = collector(null);
  for (let second = 0; second <= 25; second++) {
    state.seconds = second;
    line.update({ ...snapshot, done: second });
  }
  line.done();
  const done = state.text.trimEnd().split("\n").map((text) => text.split(" ")[1]);
  assert.deepEqual(done, ["0/8192", "10/8192", "20/8192", "25/8192"]);
  assert.ok(!state.text.includes("\x1b"));
});

Deno.test("progressLine puts a note on a line of its own", () => {
  const { state, line } = collector(120);
  line.update(snapshot);
  line.note("evaluation: return 1.20");
  assert.match(state.text, /ETA 0:43\nevaluation: return 1\.20\n$/);
});
