/**
 * A real Minecraft server for one test, as a process of its own: flying-squid from the folder given
 * as first argument, on the port given as second, with a `/fill`, which it lacks. Says `listening`.
 */
import { createRequire } from "node:module";
import { join } from "node:path";

interface Server {
  on(event: "listening", listener: () => void): void;
  commands: { add(command: Record<string, unknown>): void };
  overworld: unknown;
  setBlock(world: unknown, at: unknown, state: number): Promise<void>;
  mcData: { blocksByName: Record<string, { defaultState: number }> };
}

const [folder, port] = Deno.args;
const load = createRequire(join(folder!, "package.json"));
const { createMCServer } = load("flying-squid") as {
  createMCServer(options: Record<string, unknown>): Server;
};
const { Vec3 } = load("vec3") as { Vec3: new (x: number, y: number, z: number) => unknown };
const VERSION = "1.20";
const ofSquid = createRequire(load.resolve("flying-squid"));
const { blocksByName } = ofSquid("minecraft-data")(VERSION) as Server["mcData"];

const server = createMCServer({
  host: "127.0.0.1",
  port: Number(port),
  version: VERSION,
  "online-mode": false,
  "everybody-op": true,
  logging: false,
  gameMode: 1,
  difficulty: 0,
  "max-players": 2,
  "player-list-text": { header: { text: "" }, footer: { text: "" } },
  generation: { name: "superflat", options: {} },
  kickTimeout: 10_000,
  plugins: {},
  modpe: false,
  "view-distance": 4,
  motd: "test",
});

server.commands.add({
  base: "fill",
  info: "Fill a box with a block",
  usage: "/fill x1 y1 z1 x2 y2 z2 block",
  op: true,
  parse: (text: string) => text.split(" "),
  async action(words: string[]) {
    const [x1, y1, z1, x2, y2, z2] = words.slice(0, 6).map(Number);
    const { defaultState } = blocksByName[words[6]!.replace("minecraft:", "")]!;
    // All are begun at once, so that commands take effect in their order.
    const writes: Promise<void>[] = [];
    for (let x = x1!; x <= x2!; x++) {
      for (let y = y1!; y <= y2!; y++) {
        for (let z = z1!; z <= z2!; z++) {
          writes.push(server.setBlock(server.overworld, new Vec3(x, y, z), defaultState));
        }
      }
    }
    await Promise.all(writes);
  },
});
server.on("listening", () => console.log("listening"));
