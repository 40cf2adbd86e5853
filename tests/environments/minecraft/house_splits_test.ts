/** Generated houses: without end, all different, none held out, and what a blind team earns. */
import assert from "node:assert/strict";
import {
  createHouseBuild,
  type HouseTask,
} from "../../../shared/environments/minecraft/house_build/index.ts";
import { houseCount } from "../../../shared/environments/minecraft/house_build/generator.ts";
import { houseOf } from "../../../shared/environments/minecraft/house_build/task.ts";

const environment = createHouseBuild();
const layers = ({ layers_by_y }: HouseTask) => JSON.stringify(layers_by_y);

Deno.test("train gives different houses, none of eval, eval_large or paper", () => {
  for (const sizes of [[[6, 7, 7]], [[5, 3, 3]], [[5, 4, 4], [5, 5, 5], [12, 12, 12]]]) {
    const some = createHouseBuild({ sizes });
    const draw = (split: string, count: number) =>
      Array.from({ length: count }, (_, i) => layers(some.item(split, i).task));
    const [train, held] = [draw("train", 3000), draw("eval_large", 256)];
    const all = [...train, ...held, ...new Set(draw("paper", 10))];
    assert.equal(new Set(all).size, 3000 + 256 + 5, JSON.stringify(sizes));
    assert.deepEqual(draw("eval", 64), held.slice(0, 64));
  }
});

Deno.test("houses of the smallest size are different for every number there is", () => {
  const some = createHouseBuild({ sizes: [[5, 3, 3]] });
  const size = houseCount([5, 3, 3]) * 15 / 16;
  assert.equal(size, 1_350_000);
  const seen = new Set<string>();
  // Every 201st of over a million, from one end to the other.
  for (let i = 0; i < size; i += 201) seen.add(layers(some.item("train", i).task));
  assert.equal(seen.size, Math.ceil(size / 201));
  assert.throws(() => some.item("train", size), { code: "not_found" });
});

Deno.test("item gives the same house again, under an id that task understands", () => {
  const again = createHouseBuild({ sizes: [[5, 3, 3]] });
  for (
    const [split, index, id] of [
      ["train", 123456, "house_build_train_6x7x7_123456"],
      ["eval", 7, "house_build_eval_6x7x7_007"],
      ["eval_large", 255, "house_build_eval_large_6x7x7_255"],
      ["paper", 9, "house_build_0109"],
    ] as const
  ) {
    const item = environment.item(split, index);
    assert.equal(item.id, id);
    assert.deepEqual(environment.item(split, index), item);
    assert.deepEqual(again.task(id), item, "ids do not depend on the sizes of the environment");
  }
  // Fixed for ever: checkpoints are compared on these houses.
  assert.deepEqual(environment.item("eval", 0).task.layers_by_y["1"], FIRST_EVAL_LAYER);
});

const FIRST_EVAL_LAYER = ["AAAAAA", "BCBBBB", "BAAAAB", "BAAAAB", "BAAAAB", "BBBBBB", "AAAAAA"];

Deno.test("generated houses are boxes of the asked size with walls, a way in and a roof", () => {
  const some = createHouseBuild({ sizes: [[5, 6, 4]] });
  for (let i = 0; i < 50; i++) {
    const { task } = some.item("train", i);
    assert.deepEqual(task.local_bbox_to, [4, 5, 3]);
    const house = houseOf(task);
    assert.ok(house.solid > 40 && house.solid < 120);
    assert.match(task.layers_by_y["0"]!.join(""), /^(.)\1{19}$/, "one floor");
    assert.match(task.layers_by_y["1"]![1]!, /^[^A]A{3}[^A]$|^A|A$/, "hollow");
  }
});

Deno.test("item refuses unknown splits and indices outside a split", () => {
  const refuse = (split: string, index: number, message: RegExp) =>
    assert.throws(() => environment.item(split, index), { name: "CollmError", message });
  refuse("evall", 0, /Cannot find split 'evall' of 'house_build': did you mean 'eval'\?/);
  refuse("eval", 64, /it has items 0 to 63/);
  refuse("train", -1, /Cannot find item -1/);
  refuse("train", 0.5, /Cannot find item 0.5/);
});

Deno.test("blindBound is what the commonest block of every cell earns", () => {
  const { blindBound, comparable } = environment.probes!;
  const task = (row: string): HouseTask =>
    environment.task({
      local_bbox_from: [0, 0, 0],
      local_bbox_to: [3, 0, 0],
      inventory: { A: "air", C: "white_concrete", O: "obsidian" },
      layers_by_y: { "0": [row] },
    }).task;
  const [a, b, c] = [task("CCAA"), task("COAA"), task("COCO")];
  assert.equal(blindBound!([a]), 1);
  // Best fixed build COAA: 3, 4 and 2 of four cells.
  assert.equal(blindBound!([a, b, c]), 9 / 12);
  const fixed = {
    agent_1: "/kill\n/fill 0 0 0 0 0 0 white_concrete",
    agent_2: "/fill 1 0 0 1 0 0 obsidian",
  };
  const mean = [a, b, c].map((t) => environment.score(t, fixed).rewards["agent_1"]!)
    .reduce((sum, r) => sum + r) / 3;
  assert.equal(mean, 9 / 12);
  const other = environment.item("paper", 0).task;
  assert.ok(Math.abs(blindBound!([a, other]) - 1) < 1e-9);
  assert.equal(blindBound!([]), 0);
  assert.ok(comparable(a, c) && !comparable(a, other));
  const held = Array.from({ length: 64 }, (_, i) => environment.item("eval", i).task);
  const bound = blindBound!(held);
  assert.ok(bound > 0.4 && bound < 0.6, String(bound));
});
