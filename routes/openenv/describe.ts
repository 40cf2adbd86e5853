/**
 * What OpenEnv's clients and its validator ask an environment about itself: metadata, the JSON
 * Schemas of a view, and an OpenAPI document with the protocol's paths.
 */
import { z } from "../../deps.ts";
import type { Environment } from "../../shared/environments/environment.ts";
import { resetData, stepBody } from "../../shared/wire/openenv.ts";

type Schema = Record<string, unknown>;

export const metadataOf = ({ title, description }: Environment, version: string) => (
  { name: title, description, version, author: "collm" }
);

const object = (properties: Record<string, Schema>, optional: string[] = []): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
const text = (description: string): Schema => ({ type: "string", description });
const turn = { type: "integer", minimum: 1, description: "Default: the current turn" };
const nullable = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
const free: Schema = { type: "object", additionalProperties: true };

const MESSAGES = nullable({
  type: "array",
  items: object({ role: text("system, user or assistant"), content: text("Its text") }),
});

/** Schemas of actions, observations and states: of the team, or of one agent. */
export function schemasOf({ agents }: Environment, agent: string | null) {
  const each = (schema: Schema): Schema => (
    { type: "object", properties: Object.fromEntries(agents.map((name) => [name, schema])) }
  );
  const numbers = nullable({ type: "object", additionalProperties: { type: "number" } });
  const at = { episode_id: text("Name of the episode"), turn };
  const seen = { turn, text: text("Prompt as plain text"), messages: MESSAGES };
  const actions = object(Object.fromEntries(agents.map((name) => [name, text(`Of ${name}`)])));
  const more = { turn, metadata: nullable(free) };
  return {
    action: agent === null
      ? object({ actions, ...more }, Object.keys(more))
      : object({ text: text(`Action of ${agent}`), ...more }, Object.keys(more)),
    observation: agent === null
      ? object({
        ...at,
        observations: each(object(seen)),
        infos: each(free),
        rewards: numbers,
        components: numbers,
      })
      : object({ ...at, ...seen, info: free }),
    state: object({
      episode_id: at.episode_id,
      step_count: { type: "integer", minimum: 0 },
      environment: text("Id of the environment"),
      agents: { type: "array", items: { type: "string" } },
      status: text("running, finished or failed"),
      item_id: text("Item that is played"),
      seed: { type: "integer" },
    }),
  };
}

/** OpenAPI document of one view. */
export function documentOf(environment: Environment, agent: string | null, version: string) {
  const { action, observation, state } = schemasOf(environment, agent);
  const json = (schema: Schema) => ({ content: { "application/json": { schema } } });
  const answer = (description: string, schema: Schema) => (
    { responses: { 200: { description, ...json(schema) } } }
  );
  const bodyOf = (schema: Schema, required = true) => (
    { requestBody: { required, ...json(schema) } }
  );
  const input = (schema: z.ZodType) => z.toJSONSchema(schema, { io: "input" }) as Schema;
  const step = input(stepBody) as { properties: Record<string, Schema> };
  const outcome = object({
    observation,
    reward: nullable({ type: "number" }),
    done: { type: "boolean" },
  });
  const get = (summary: string, schema: Schema) => ({
    get: { summary, ...answer(summary, schema) },
  });
  return {
    openapi: "3.1.0",
    info: { title: environment.title, version, description: environment.description },
    paths: {
      "/reset": {
        post: {
          summary: "Open an episode",
          ...bodyOf(input(resetData), false),
          ...answer("First observation", outcome),
        },
      },
      "/step": {
        post: {
          summary: "Act on a turn",
          ...bodyOf({ ...step, properties: { ...step.properties, action } }),
          ...answer("Next observation", outcome),
        },
      },
      "/state": {
        get: {
          summary: "Where an episode is",
          parameters: [
            { name: "episode_id", in: "query", required: true, schema: { type: "string" } },
          ],
          ...answer("The state", state),
        },
      },
      "/health": get("Whether it can be played", free),
      "/metadata": get("Name and description", free),
      "/schema": get("Schemas of actions, observations and states", free),
      "/mcp": { post: { summary: "JSON-RPC", ...bodyOf(free), ...answer("JSON-RPC", free) } },
    },
  };
}
