/** A team names numbers that must add up to a target; nobody hears the others before they act. */
import { defineEnvironment } from "../shared/environments/define.ts";

interface Task {
  target: number;
}

/** Targets from 10 to 99; `eval` holds those that end in 7. */
const targets = Array.from({ length: 90 }, (_, i) => ({ target: 10 + i }));
const heldOut = ({ target }: Task) => target % 10 === 7;
const named = (text: string) => Number(/\d{1,6}/.exec(text)?.[0] ?? 0);
const sumOf = (texts: Record<string, string>) =>
  Object.values(texts).reduce((sum, text) => sum + named(text), 0);

export default defineEnvironment<Task>({
  id: "add_up",
  title: "Add up",
  description: "A team names numbers that add up to a target",
  agents: ({ agents }) => agents as number,
  turns: 2,
  rewardRange: [0, 1],
  options: { agents: 2 },
  items: {
    train: targets.filter((task) => !heldOut(task)),
    eval: targets.filter(heldOut),
  },

  // Short, so that a small policy reads it and a critic of 16 agents reads all of theirs.
  prompt({ task, agents, index, last }) {
    const before = last ? ` last ${Math.min(sumOf(last.actions), 999)}` : "";
    return `${index + 1} of ${agents.length} sum ${task.target}${before}:`;
  },

  step({ task, actions }) {
    const error = Math.abs(sumOf(actions) - task.target);
    const reward = Math.max(0, 1 - error / task.target);
    return { reward, done: error === 0, components: { error } };
  },
});
