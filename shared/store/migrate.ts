/**
 * Applies the embedded migrations. Each one is a single write batch that opens by claiming its
 * name, so of several hosts that start together one applies it and the others see that it is done.
 * Leaves out going back: a migration that was applied is never changed.
 */
import type { LibsqlClient } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { hashOf } from "./canonical.ts";
import { MIGRATIONS } from "./migrations.ts";

const CREATE = "create table if not exists migrations " +
  "(name text primary key not null, hash text not null, applied_at integer not null)";

async function applied(client: LibsqlClient): Promise<Map<string, string>> {
  const { rows } = await client.execute("select name, hash from migrations");
  return new Map(rows.map((row) => [String(row.name), String(row.hash)]));
}

/**
 * Brings a database to the newest schema.
 * @param name how errors call the database
 * @throws CollmError `conflict` when the database was written by another version of the schema
 */
export async function migrate(
  client: LibsqlClient,
  name: string,
  migrations: readonly { name: string; sql: string }[] = MIGRATIONS,
): Promise<void> {
  const refuse = (why: string) =>
    new CollmError("conflict", `Cannot open database '${name}': ${why}`);
  await client.execute(CREATE);
  const done = await applied(client);
  for (const known of done.keys()) {
    if (!migrations.some((migration) => migration.name === known)) {
      throw refuse(`migration '${known}' was applied by a newer version of this program`);
    }
  }
  for (const migration of migrations) {
    const hash = hashOf(migration.sql);
    if (!done.has(migration.name)) {
      const claim = {
        sql: "insert into migrations (name, hash, applied_at) values (?, ?, ?)",
        args: [migration.name, hash, Date.now()],
      };
      const statements = migration.sql.split("--> statement-breakpoint");
      try {
        await client.batch([claim, ...statements], "write");
        done.set(migration.name, hash);
      } catch (error) {
        // Another host (or a first try whose answer was lost) may have claimed it meanwhile.
        const now = (await applied(client)).get(migration.name);
        if (now === undefined) throw error;
        done.set(migration.name, now);
      }
    }
    if (done.get(migration.name) !== hash) {
      throw refuse(`migration '${migration.name}' differs from the one that was applied`);
    }
  }
}
