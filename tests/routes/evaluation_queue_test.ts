/**
 * Evaluations that an edge left on a database server: another edge takes them over after a lease,
 * one edge only, and none while their own edge is alive.
 */
import assert from "node:assert/strict";
import type { EvaluationRunner } from "../../routes/edge.ts";
import { createQueue, type EvaluationQueue } from "../../routes/evaluation_queue.ts";
import {
  createEvaluation,
  getEvaluation,
  takeOverEvaluation,
  updateEvaluation,
} from "../../shared/store/evaluations.ts";
import { evaluationRequest } from "../../shared/wire/evaluations.ts";
import { until } from "../support/process.ts";
import { testOnEveryStore, testOnSqld } from "../support/stores.ts";

const LEASE = 400;
const request = evaluationRequest.parse({ checkpoint: "first", environment: "str_build" });

testOnSqld(
  "createQueue takes over, once, what a dead edge left queued or running",
  async (context) => {
    const stores = [context.store, (await context.anotherHost()).store];
    const [store] = stores as [typeof context.store];
    for (const id of ["waiting", "begun"]) await createEvaluation(store, id, request);
    await updateEvaluation(store, "begun", { status: "running", progress: 0.5 });
    const began = performance.now();
    const played: string[] = [];
    const lines: string[] = [];
    const runner = (name: string): EvaluationRunner => (asked) => {
      played.push(name);
      return Promise.resolve({ n: asked.episodes });
    };
    const queues = stores.map((one, i) =>
      createQueue(one, runner(`edge ${i}`), (line) => lines.push(line), { lease_ms: LEASE })
    );
    try {
      for (const id of ["waiting", "begun"]) {
        await until(`evaluation ${id}`, async () => {
          return (await getEvaluation(store, id)).status === "succeeded";
        }, 10);
      }
      assert.ok(performance.now() - began > LEASE / 2, "taken before the lease was over");
      await new Promise((resume) => setTimeout(resume, LEASE));
      assert.equal(played.length, 2, played.join());
      assert.deepEqual(lines, ["Evaluation begun begins again: its edge is gone"]);
    } finally {
      queues.forEach((queue) => queue.close());
      // A look that is under way ends before the store does.
      await new Promise((resume) => setTimeout(resume, LEASE / 2));
    }
  },
);

testOnSqld(
  "createQueue leaves an evaluation to an edge that is slow but alive",
  async (context) => {
    const { store, anotherHost } = context;
    const { store: other } = await anotherHost();
    let goOn = () => {};
    const waiting = new Promise<void>((resume) => goOn = resume);
    const queues: EvaluationQueue[] = [];
    let others = 0;
    try {
      const slow = createQueue(store, () => waiting.then(() => ({ n: 1 })), assert.fail, {
        lease_ms: LEASE,
      });
      queues.push(slow);
      for (const id of ["slow", "behind"]) {
        await createEvaluation(store, id, request);
        slow.add(id, request);
      }
      queues.push(
        createQueue(other, () => Promise.resolve({ n: ++others }), assert.fail, {
          lease_ms: LEASE,
        }),
      );
      await new Promise((resume) => setTimeout(resume, 4 * LEASE));
      assert.deepEqual(
        [
          (await getEvaluation(store, "slow")).status,
          (await getEvaluation(store, "behind")).status,
        ],
        ["running", "queued"],
      );
      goOn();
      await until("both", async () => {
        return (await getEvaluation(store, "behind")).status === "succeeded";
      }, 10);
      assert.deepEqual((await getEvaluation(store, "slow")).result, { n: 1 });
      assert.equal(others, 0);
    } finally {
      goOn();
      queues.forEach((queue) => queue.close());
      await new Promise((resume) => setTimeout(resume, LEASE / 2));
    }
  },
);

testOnEveryStore(
  "takeOverEvaluation gives an evaluation to one caller, and no ended one",
  async ({ store }) => {
    const left = await createEvaluation(store, "e", request);
    assert.deepEqual(
      [await takeOverEvaluation(store, left), await takeOverEvaluation(store, left)],
      [
        true,
        false,
      ],
    );
    await updateEvaluation(store, "e", { status: "succeeded", result: { n: 1 } });
    assert.equal(await takeOverEvaluation(store, await getEvaluation(store, "e")), false);
  },
);
