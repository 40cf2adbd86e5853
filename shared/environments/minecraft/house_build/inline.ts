/**
 * Reading of tasks that callers hand over: a published or generated house by its id, or a house
 * of their own by its layers, with what the team may spend. Refusals name the field.
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { seedOf } from "../../../random.ts";
import type { TaskItem } from "../../environment.ts";
import { readFields, show } from "../../options.ts";
import { maxCommands } from "../limits.ts";
import { AIR, blockId } from "../textures.ts";
import { boxSize, type Position } from "../world.ts";
import type { HouseTask } from "./task.ts";

/** Longest side and most cells of a house. */
const MOST = { side: 64, cells: 4096 };

const position = z.tuple([z.int(), z.int(), z.int()], "it must be three integers")
  .refine((at) => at.every((v) => Math.abs(v) <= 1e6), "its numbers must be within 1000000");
const letter = z.string().regex(/^[!-~]$/, "a letter must be one visible ASCII character");
const block = z.string().transform(blockId).pipe(
  z.string().regex(/^[a-z0-9_]{1,64}$/, "a block must be lower-case letters, digits and _"),
);

/** What the team may spend and the spiders; the options of the environment have the same ranges. */
export const RULES = {
  max_commands: maxCommands,
  limited_resource: z.boolean(),
  player_hp: z.number().min(0).max(1000),
  spider_attacks: z.array(z.number().min(0).max(1000)).max(64),
};

const HOUSE = {
  /** A name of the caller's, kept in the item's id. */
  task_id: z.string().regex(
    /^[A-Za-z0-9_-]{1,64}$/,
    "it must be 1 to 64 letters, digits, _ and -",
  ).optional(),
  local_bbox_from: position,
  local_bbox_to: position,
  inventory: z.record(letter, block),
  layers_by_y: z.record(z.string(), z.array(z.string())),
};

type Rules = Pick<HouseTask, keyof typeof RULES>;
const WHAT = "Cannot read HouseBuild task";

/**
 * Item of an inline task: `{"id"}` or `{"local_bbox_from","local_bbox_to","inventory",
 * "layers_by_y"}`, each with any of `max_commands, limited_resource, player_hp, spider_attacks`.
 * @param find The item of an id.
 * @throws CollmError `invalid_request` with the field, `not_found` for an unknown id.
 */
export function inlineTask(
  input: unknown,
  defaults: Rules,
  find: (id: string) => TaskItem<HouseTask>,
): TaskItem<HouseTask> {
  const rules = {
    max_commands: RULES.max_commands.default(defaults.max_commands),
    limited_resource: RULES.limited_resource.default(defaults.limited_resource),
    player_hp: RULES.player_hp.default(defaults.player_hp),
    spider_attacks: RULES.spider_attacks.default([...defaults.spider_attacks]),
  };
  if (typeof input === "object" && input !== null && "id" in input) {
    const { id, ...own } = readFields(z.object({ id: z.string(), ...rules }), input, WHAT, "field");
    const item = find(id);
    const same = JSON.stringify(own) === JSON.stringify(rulesOf(item.task));
    const task = { ...item.task, ...own };
    return same ? item : { id: `${item.id}_${contentHash(task)}`, task };
  }
  const { task_id, ...fields } = readFields(z.object({ ...HOUSE, ...rules }), input, WHAT, "field");
  const task: HouseTask = fields;
  checkShape(task);
  return { id: `house_build_${task_id ?? "inline"}_${contentHash(task)}`, task };
}

/** Whether two tasks are the same is told by their content. */
function contentHash(task: HouseTask): string {
  const text = JSON.stringify(task);
  return [seedOf(text), seedOf("again", text)]
    .map((half) => half.toString(16).padStart(8, "0")).join("");
}

function rulesOf({ max_commands, limited_resource, player_hp, spider_attacks }: HouseTask): Rules {
  return { max_commands, limited_resource, player_hp, spider_attacks };
}

function checkShape(task: HouseTask): void {
  const refuse = (field: string, value: unknown, reason: string) => {
    throw new CollmError(
      "invalid_request",
      `${WHAT}: field '${field}' is ${show(value)}: ${reason}`,
    );
  };
  const { local_bbox_from: from, local_bbox_to: to, inventory, layers_by_y } = task;
  const [width, height, depth]: Position = boxSize({ from, to });
  if (Math.min(width, height, depth) < 1) {
    refuse("local_bbox_to", to, `it must not be less than local_bbox_from ${show(from)}`);
  }
  if (Math.max(width, height, depth) > MOST.side || width * height * depth > MOST.cells) {
    refuse(
      "local_bbox_to",
      to,
      `a house has at most ${MOST.side} cells a side, ${MOST.cells} in all`,
    );
  }
  const ys = Array.from({ length: height }, (_, y) => String(from[1] + y));
  for (const y of Object.keys(layers_by_y)) {
    if (!ys.includes(y)) refuse("layers_by_y", y, `layers are ${ys[0]} to ${ys.at(-1)}`);
  }
  for (const y of ys) {
    const rows = layers_by_y[y];
    if (rows?.length !== depth) {
      refuse("layers_by_y", rows, `layer ${y} must have ${depth} rows, one for each z`);
    }
    for (const row of rows!) {
      if (row.length !== width) {
        refuse("layers_by_y", row, `a row of layer ${y} must have ${width} cells, one for each x`);
      }
      const unknown = [...row].find((cell) => !Object.hasOwn(inventory, cell));
      if (unknown !== undefined) {
        refuse("layers_by_y", row, `letter '${unknown}' is not in the inventory`);
      }
    }
  }
  if (Object.values(inventory).filter((name) => name !== AIR).length > 64) {
    refuse("inventory", inventory, "it has more than 64 blocks");
  }
}
