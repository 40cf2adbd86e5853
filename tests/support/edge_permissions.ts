/**
 * Plays one episode on the store at the given address, to be run with network and environment
 * access alone. Prints the completion log as JSON.
 */
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes } from "../../shared/store/episodes.ts";
import { resolveRelay } from "./relay.ts";
import { relayPost, relaySpec } from "./stores.ts";

const store = await openStore(Deno.args[0]!);
const episodes = await createEpisodes(store, resolveRelay);
await episodes.openEpisodes([relaySpec("e1", { options: { turns: 1 } })]);
await episodes.postActions(["left", "right"].map((agent) => relayPost("e1", 1, agent)));
console.log(JSON.stringify(await episodes.completions(null, 0, 10)));
await store.close();
