/**
 * CoLLM-DC: decentralized policies, one critic per agent on that agent's own history.
 *   ∇J(θ_i) = E[ Σ_t δ_{i,t} ∇ log π_i(a_{i,t} | h_{i,t}) ],
 *   δ_{i,t} = r_t + γ V_i(h_{i,t+1}) − V_i(h_{i,t});   critic i: minimise δ_{i,t}²
 * h_{i,t} is the prompt of agent i alone at turn t: no critic sees what another agent sees.
 */
import { z } from "../../deps.ts";
import { actorCriticPlan, rewardsEAT, rows } from "./actor_critic.ts";
import type { Algorithm, Batch, CriticState } from "./algorithm.ts";
import { requireEpisodes } from "./batch.ts";
import { ownCriticText } from "./critic_text.ts";
import { actorCriticOptions } from "./options.ts";
import { tdErrors, tdTargets } from "./targets.ts";

export const collmDcOptions = z.strictObject({ id: z.literal("collm_dc"), ...actorCriticOptions });
export type CollmDcOptions = z.infer<typeof collmDcOptions>;

/** CoLLM-DC with its options fixed. States are ordered by episode, then agent, then turn. */
export function collmDc(options: CollmDcOptions): Algorithm {
  const states = (batch: Batch): CriticState[] =>
    batch.transcripts.flatMap(({ turns }) =>
      batch.agents.flatMap((critic, a) =>
        turns.map(({ acts }) => {
          const { prompt_text, response_text } = acts[a]!;
          const completion = options.critic_type === "q" ? response_text : undefined;
          return { critic, text: ownCriticText(prompt_text, completion) };
        })
      )
    );

  return {
    id: options.id,
    title: "CoLLM-DC",
    description: "Multi-agent actor-critic with one critic per agent on its own history",
    critics: "per_agent",
    rollout: { generations: 1, joint: "single" },
    states,
    plan(batch, values) {
      requireEpisodes(batch);
      const agents = batch.agents.length;
      const valuesRow = rows(
        values,
        batch.transcripts.flatMap(({ turns }) => Array<number>(agents).fill(turns.length)),
      );
      const targetsEAT = rewardsEAT(batch, options).map((rewardsAT, e) =>
        rewardsAT.map((rewardsT, a) =>
          tdTargets(rewardsT, valuesRow[e * agents + a]!, options.gamma)
        )
      );
      return actorCriticPlan(batch, {
        advantagesEAT: targetsEAT.map((targetsAT, e) =>
          targetsAT.map((targetsT, a) => tdErrors(targetsT, valuesRow[e * agents + a]!))
        ),
        states: states(batch),
        values,
        targets: targetsEAT.flat(2),
        options,
      });
    },
  };
}
