/**
 * One batch to new weights: critic values, the algorithm's plan, the GPU node's updates.
 * Learning rates follow the schedule; write keys follow the iteration, so that a retried
 * request is answered, not applied twice.
 */
import type { Batch, Plan } from "../shared/algorithms/algorithm.ts";
import { mean } from "../shared/algorithms/moments.ts";
import type { UpdateResult } from "../gpu-node/verbs.ts";
import { criticName, type Roles } from "./roles.ts";
import { learningRateFactor } from "./schedule.ts";

/** Applies one batch; returns its statistics. */
export async function learn(
  roles: Roles,
  batch: Batch,
  progress: { iteration: number; spent: number },
): Promise<Record<string, number>> {
  const { algorithm, config, node, tokenizer, handle } = roles;
  const states = algorithm.states(batch).map(({ critic, text }) => ({
    critic,
    tokens: tokenizer.encode(text, { addSpecialTokens: true }),
  }));
  const values = await readValues(roles, states);
  const plan = algorithm.plan(batch, values);
  const factor = learningRateFactor(config.optimizer, progress.iteration, progress.spent);
  const optimizer = (rate: number) => ({
    name: "adamw" as const,
    learning_rate: rate * factor,
    betas: config.optimizer.betas,
    eps: config.optimizer.eps,
    weight_decay: config.optimizer.weight_decay,
  });
  const results = new Map<string, UpdateResult>();
  for (const { agent, sequences } of plan.policies) {
    if (sequences.length === 0) continue;
    const result = await node.update({
      policy: handle(agent),
      seq: progress.iteration,
      loss: "policy_gradient",
      batch: sequences,
      optimizer: optimizer(config.optimizer.learning_rate),
      max_grad_norm: config.optimizer.max_grad_norm,
      loss_scale: tokenScale(sequences),
    });
    results.set(agent, result);
  }
  for (const [step, { critic, examples }] of plan.critics.entries()) {
    const name = criticName(critic);
    const result = await node.update({
      policy: handle(name),
      seq: progress.iteration * plan.critics.length + step,
      loss: "value_mse",
      batch: examples.map(({ state, target }) => {
        const { tokens } = states[state]!;
        return { tokens, prompt_length: tokens.length, target };
      }),
      optimizer: optimizer(config.critic.learning_rate),
      max_grad_norm: config.critic.max_grad_norm,
      loss_scale: config.critic.value_loss_coef,
    });
    results.set(name, result);
  }
  return { ...plan.statistics, ...updateStatistics(results, plan) };
}

/** Values of all states, one call per critic. */
async function readValues(
  { node, handle }: Roles,
  states: readonly { critic: string; tokens: number[] }[],
): Promise<number[]> {
  const values: number[] = [];
  const byCritic = Map.groupBy(states.keys(), (i) => states[i]!.critic);
  for (const [critic, indices] of byCritic) {
    const read = await node.values(
      handle(criticName(critic)),
      indices.map((i) => ({ tokens: states[i]!.tokens, read_at: "last" })),
    );
    indices.forEach((i, k) => values[i] = read.values[k]!);
  }
  return values;
}

/**
 * The paper's loss sums log-probabilities over a response; divided by the mean response length,
 * the learning rate means the same for short and long actions (clipping sees the same scale).
 */
const tokenScale = (sequences: readonly { tokens: number[]; prompt_length: number }[]): number =>
  1 / mean(sequences.map((s) => s.tokens.length - s.prompt_length));

function updateStatistics(results: ReadonlyMap<string, UpdateResult>, plan: Plan) {
  const statistics: Record<string, number> = {};
  for (const [name, { loss, grad_norm, logprob_mismatch }] of results) {
    if (logprob_mismatch !== undefined) {
      statistics[`${name}_logprob_mismatch`] = logprob_mismatch;
    }
    statistics[`${name}_loss`] = loss;
    statistics[`${name}_grad_norm`] = grad_norm;
  }
  statistics["sequences"] = plan.policies.reduce((n, p) => n + p.sequences.length, 0);
  return statistics;
}
