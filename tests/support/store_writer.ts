/**
 * A process that plays one-turn episodes on the store at the given address and prints a line for
 * every action once it is acknowledged, until it is killed. Arguments: address, prefix of ids.
 */
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes } from "../../shared/store/episodes.ts";
import { resolveRelay } from "./relay.ts";
import { relayPost, relaySpec } from "./stores.ts";

const [url, prefix] = Deno.args;
const episodes = await createEpisodes(await openStore(url!), resolveRelay);
const line = new TextEncoder();
for (let i = 0;; i++) {
  const id = `${prefix}${i}`;
  await episodes.openEpisodes([relaySpec(id, { options: { turns: 1 } })]);
  for (const agent of ["left", "right"]) {
    const [result] = await episodes.postActions([relayPost(id, 1, agent)]);
    if (result?.status === "error") throw result.error;
    Deno.stdout.writeSync(line.encode(`${id} ${agent}\n`));
  }
}
