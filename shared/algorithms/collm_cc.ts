/**
 * CoLLM-CC: decentralized policies, one centralized critic on the joint history.
 *   ∇J(θ_i) = E[ Σ_t δ_t ∇ log π_i(a_{i,t} | h_{i,t}) ],   δ_t = r_t + γ V(h_{t+1}) − V(h_t)
 *   critic: minimise (r_t + γ V(h_{t+1}) − V(h_t))², stepped once per batch, not per agent.
 * h_t is the joint history: the prompts of all agents at turn t. δ is the same for all agents.
 */
import { z } from "../../deps.ts";
import { actorCriticPlan, rewardsEAT, rows } from "./actor_critic.ts";
import { type Algorithm, type Batch, type CriticState, JOINT_CRITIC } from "./algorithm.ts";
import { requireEpisodes } from "./batch.ts";
import { jointCriticText } from "./critic_text.ts";
import { mean } from "./moments.ts";
import { actorCriticOptions } from "./options.ts";
import { tdErrors, tdTargets } from "./targets.ts";

export const collmCcOptions = z.strictObject({ id: z.literal("collm_cc"), ...actorCriticOptions });
export type CollmCcOptions = z.infer<typeof collmCcOptions>;

/** CoLLM-CC with its options fixed. States are ordered by episode, then turn. */
export function collmCc(options: CollmCcOptions): Algorithm {
  const states = (batch: Batch): CriticState[] =>
    batch.transcripts.flatMap(({ turns }) =>
      turns.map(({ acts }) => ({
        critic: JOINT_CRITIC,
        text: jointCriticText(
          acts.map((act) => act.prompt_text),
          options.critic_type === "q" ? acts.map((act) => act.response_text) : undefined,
        ),
      }))
    );

  return {
    id: options.id,
    title: "CoLLM-CC",
    description: "Multi-agent actor-critic with one centralized critic on the joint history",
    critics: "joint",
    rollout: { generations: 1, joint: "single" },
    states,
    plan(batch, values) {
      requireEpisodes(batch);
      const valuesET = rows(values, batch.transcripts.map(({ turns }) => turns.length));
      const targetsEAT = rewardsEAT(batch, options).map((rewardsAT, e) =>
        rewardsAT.map((rewardsT) => tdTargets(rewardsT, valuesET[e]!, options.gamma))
      );
      return actorCriticPlan(batch, {
        advantagesEAT: targetsEAT.map((targetsAT, e) =>
          targetsAT.map((targetsT) => tdErrors(targetsT, valuesET[e]!))
        ),
        states: states(batch),
        values,
        // Agents' targets differ only where their rewards do; the shared critic learns their mean.
        targets: targetsEAT.flatMap((targetsAT) =>
          targetsAT[0]!.map((_, t) => mean(targetsAT.map((targetsT) => targetsT[t]!)))
        ),
        options,
      });
    },
  };
}
