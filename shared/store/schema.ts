/**
 * The drizzle schema, all tables in one place (split by noun in schema/). After a change run
 * `deno run -A npm:drizzle-kit@0.31.11 generate --dialect sqlite --schema shared/store/schema.ts
 * --out shared/store/migrations`, then `deno run -A shared/store/embed.ts`.
 */
export * from "./schema/runs.ts";
export * from "./schema/episodes.ts";
export * from "./schema/evaluations.ts";
