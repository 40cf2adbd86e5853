/**
 * Builds a world in a running Minecraft server: a bot joins, writes `/fill` and `/setblock` into
 * the chat and waits until it sees the result. The bot is mineflayer, which is installed
 * separately and handed in; it has to be an operator on the server.
 * Leaves out installing, starting servers and online accounts.
 */
import { CollmError } from "../../../errors.ts";
import { blockAt, type Position, positions, type World } from "../world.ts";
import { worldCommands } from "./functions.ts";
import { blockName } from "./names.ts";

/** The part of a mineflayer bot that is used. */
export interface Bot {
  once(event: "spawn" | "error" | "kicked" | "end", listener: (reason: unknown) => void): void;
  chat(message: string): void;
  /** Block at a place that the bot has loaded; `null` elsewhere. */
  blockAt(at: unknown): { name: string } | null;
  entity: {
    position: { offset(x: number, y: number, z: number): unknown; x: number; y: number; z: number };
  };
  quit(): void;
}

/** `createBot` of mineflayer. */
export type CreateBot = (options: Record<string, unknown>) => Bot;

export interface ServerOptions {
  host: string;
  port: number;
  username?: string;
  /** Game version; the one that was tested under Deno is 1.20. */
  version?: string;
  /** Where the world's cell 0 0 0 comes to lie; it must be near the bot's spawn. */
  origin: Position;
  /** Milliseconds that joining, and then building, may take. */
  patience?: number;
}

/**
 * Builds a world in a server and resolves once the bot sees every block of it.
 * @returns Number of commands written.
 * @throws CollmError `unavailable` if the server cannot be joined, `deadline` if blocks are missing
 *   when patience ends.
 */
export async function buildInServer(
  createBot: CreateBot,
  world: World,
  options: ServerOptions,
): Promise<number> {
  const { host, port, origin, username = "collm", version = "1.20", patience = 30_000 } = options;
  const bot = createBot({ host, port, username, version, auth: "offline", hideErrors: true });
  try {
    await joined(bot, `${host}:${port}`, patience);
    const commands = worldCommands(world, origin);
    for (const command of commands) bot.chat(`/${command}`);
    await seen(bot, world, origin, patience);
    return commands.length;
  } finally {
    bot.quit();
  }
}

function joined(bot: Bot, server: string, patience: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: unknown) => {
      clearTimeout(timer);
      const why = reason instanceof Error ? reason.message : String(reason);
      reject(new CollmError("unavailable", `Cannot join Minecraft server '${server}': ${why}`));
    };
    const timer = setTimeout(() => fail(`no answer for ${patience} ms`), patience);
    for (const event of ["error", "kicked", "end"] as const) bot.once(event, fail);
    bot.once("spawn", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Waits until every cell holds its block. */
async function seen(bot: Bot, world: World, origin: Position, patience: number): Promise<void> {
  const { x, y, z } = bot.entity.position;
  const start = performance.now();
  for (const at of positions(world.box)) {
    const wanted = blockName(blockAt(world, at));
    const place = () =>
      bot.entity.position.offset(
        at[0] + origin[0] - bot.entity.position.x,
        at[1] + origin[1] - bot.entity.position.y,
        at[2] + origin[2] - bot.entity.position.z,
      );
    while (`minecraft:${bot.blockAt(place())?.name}` !== wanted) {
      if (performance.now() - start > patience) {
        throw new CollmError(
          "deadline",
          `Cannot build in Minecraft server: block ${at.join(" ")} is not ${wanted} after ` +
            `${patience} ms (the bot stands at ${[x, y, z].map(Math.round).join(" ")})`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
