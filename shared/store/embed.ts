/**
 * Writes migrations.ts from migrations/*.sql, so that a process without disk access can apply
 * them. Run `deno run -A shared/store/embed.ts` after generating a migration; a test compares.
 */

const FOLDER = new URL("./migrations/", import.meta.url);

/** The text of migrations.ts for the .sql files as they are on disk. */
export async function embedMigrations(folder: URL = FOLDER): Promise<string> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.endsWith(".sql")) names.push(entry.name);
  }
  let body = "";
  for (const name of names.sort()) {
    const text = await Deno.readTextFile(new URL(name, folder));
    const escaped = text.replace(/[\\`]|\$\{/g, (found) => `\\${found}`);
    body += `  {\n    name: ${
      JSON.stringify(name.slice(0, -4))
    },\n    sql: \`${escaped}\`,\n  },\n`;
  }
  return `/**
 * The text of migrations/*.sql, for processes without disk access.
 * Written by embed.ts; change the schema and run that instead of editing this.
 */

/** Applied in this order, each once. */
export const MIGRATIONS: readonly { readonly name: string; readonly sql: string }[] = [
${body}];
`;
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("./migrations.ts", import.meta.url), await embedMigrations());
}
