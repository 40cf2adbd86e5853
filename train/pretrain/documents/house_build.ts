/**
 * HouseBuild documents: a compact prompt and `/fill` lines, now and then a `/kill`. A *precise*
 * document fills rectangles of its prompt, in their order, each or not by the toss of a coin; a
 * *random* one does the same with another house. None shows two agents sharing work, and no
 * evaluation house occurs: `train` leaves them out.
 */
import {
  affordable,
  compactPrompt,
  fillArguments,
} from "../../../shared/environments/minecraft/house_build/compact.ts";
import type { HouseSize } from "../../../shared/environments/minecraft/house_build/generator.ts";
import { itemHouse } from "../../../shared/environments/minecraft/house_build/splits.ts";
import type { HouseTask } from "../../../shared/environments/minecraft/house_build/task.ts";
import { integerBelow } from "../../../shared/random.ts";
import { type Document, pick, turnOf } from "./document.ts";

/** Small houses: their prompts and answers fit into the policy's positions. */
export const HOUSE_SIZES: readonly HouseSize[] = [
  ...Array<HouseSize>(5).fill([5, 3, 3]),
  [6, 3, 3],
  [5, 4, 3],
  [5, 3, 4],
];
/** Houses that are drawn from: the first of `train`. */
const HOUSES = 1_000_000;
/** Least share of the rectangles that are filled. */
const LEAST_SHARE = 0.4;
const AGENTS = 2;
/** Share of lines of a precise document that are of its prompt. */
const PRECISION = 0.98;
/** Share of documents that kill the spiders. */
const KILLS = 0.15;

/** @param precise Share of documents that fill what their prompt lists. */
export function houseBuildDocument(random: () => number, precise: number): Document {
  const size = pick(HOUSE_SIZES, random);
  const task = anyTask(size, random);
  const { turn, reward } = turnOf(random, -0.1, 1);
  return {
    prompt: compactPrompt(task, integerBelow(random, AGENTS), AGENTS, turn, reward),
    response: houseAnswer(task, anyTask(size, random), random, precise),
  };
}

/** What a document answers on a house; `other` is the house of a random document. */
export function houseAnswer(
  task: HouseTask,
  other: HouseTask,
  random: () => number,
  precise: number,
): string {
  const aims = random() < precise;
  const [wanted, wrong] = [affordable(aims ? task : other, AGENTS), affordable(other, AGENTS)];
  const kill = random() < KILLS ? "/kill\n" : "";
  const share = LEAST_SHARE + (1 - LEAST_SHARE) * random();
  return kill + wanted.filter(() => random() < share)
    .map((rectangle) => random() < PRECISION ? rectangle : pick(wrong, random))
    .map((rectangle) => `/fill ${fillArguments(rectangle)}\n`).join("");
}

function anyTask(size: HouseSize, random: () => number): HouseTask {
  const { house } = itemHouse("train", integerBelow(random, HOUSES), [size]);
  const usual = random() < 0.7;
  return {
    ...house,
    max_commands: 600,
    limited_resource: true,
    player_hp: usual ? 5 : 1 + integerBelow(random, 9),
    spider_attacks: [usual ? 5 : integerBelow(random, 10)],
  };
}
