/**
 * Steps per second of the building tasks in process on one core: whole episodes of four turns
 * with default options, over the published items, on texts of a good team (every target cell of
 * StrBuild, every rectangle of HouseBuild, half of them each). Leaves out HTTP.
 */
import process from "node:process";
import type { PerAgent, PureEnvironment } from "../shared/environments/environment.ts";
import { createHouseBuild } from "../shared/environments/minecraft/house_build/index.ts";
import { rectangles } from "../shared/environments/minecraft/house_build/rectangles.ts";
import { houseOf } from "../shared/environments/minecraft/house_build/task.ts";
import { createStrBuild } from "../shared/environments/minecraft/str_build/index.ts";
import { palettes, targetCells } from "../shared/environments/minecraft/str_build/task.ts";

export interface StepNumbers {
  /** Steps per second of processor time: the fastest of `rounds` rounds. */
  steps_per_s: number;
  /** Command lines of a mean joint action. */
  lines: number;
}

/** Milliseconds of processor time of this process; a busy machine does not change them much. */
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Steps per second of `str_build` and `house_build`, in both prompt styles. */
export function benchMinecraft(seconds = 1, rounds = 3): Record<string, StepNumbers> {
  const numbers: Record<string, StepNumbers> = {};
  for (const prompt_style of ["paper", "compact"]) {
    const letters = createStrBuild({ prompt_style });
    const house = createHouseBuild({ prompt_style });
    numbers[`str_build ${prompt_style}`] = measure(
      letters,
      ({ word }) =>
        halves(
          targetCells(word).map(([x, y], i) => {
            const blocks = palettes(2)[i % 2]!;
            return `/setblock ${x} ${y} 0 ${blocks[(x + y) % 2]}`;
          }),
        ),
      seconds,
      rounds,
    );
    numbers[`house_build ${prompt_style}`] = measure(
      house,
      (task) =>
        halves([
          "/kill",
          ...rectangles(houseOf(task)).filter(({ block }) => block !== "air")
            .map(({ y, x1, z1, x2, z2, block }) =>
              `/fill ${x1} ${y} ${z1} ${x2} ${y} ${z2} ${block}`
            ),
        ]),
      seconds,
      rounds,
    );
  }
  return numbers;
}

function halves(lines: string[]): PerAgent<string> {
  const half = (agent: number) => lines.filter((_, i) => i % 2 === agent).join("\n");
  return { agent_1: half(0), agent_2: half(1) };
}

function measure<Task, State>(
  environment: PureEnvironment<Task, State>,
  act: (task: Task) => PerAgent<string>,
  seconds: number,
  rounds: number,
): StepNumbers {
  const tasks = Array.from({ length: 10 }, (_, i) => environment.item("paper", i).task);
  const played = tasks.map((task) => ({ task, actions: act(task) }));
  const lines = played.map(({ actions }) => Object.values(actions).join("\n").split("\n").length);
  let best = 0;
  for (let round = 0; round <= rounds; round++) {
    let steps = 0;
    const start = cpu();
    let elapsed = 0;
    while (elapsed < 1000 * seconds) {
      for (const { task, actions } of played) {
        let { state } = environment.reset(task, 0);
        for (let turn = 0; turn < environment.turns; turn++) {
          ({ state } = environment.step(task, state, actions));
          steps++;
        }
      }
      elapsed = cpu() - start;
    }
    // The first round warms up.
    if (round > 0) best = Math.max(best, 1000 * steps / elapsed);
  }
  return {
    steps_per_s: Math.round(best),
    lines: lines.reduce((sum, n) => sum + n, 0) / lines.length,
  };
}

if (import.meta.main) console.log(JSON.stringify(benchMinecraft(), null, 2));
