/** A scripted gatherer: tells what the other can use, gathers what it can, else explores. */
import {
  type Cell,
  cellsWith,
  letterAt,
  reach,
} from "../../../../shared/environments/minecraft/grid/grid.ts";
import { cheapestWay, letters, type Player, readMap, readPlace } from "./reading.ts";

const NAMES = { W: "wood", S: "stone", I: "iron" } as const;

/** @param agent 0 works on wood, 1 on stone and iron. */
export function gatherer(agent: number): Player {
  const told = new Set<string>();
  return (text) => {
    const [map, at] = [readMap(text), readPlace(text)];
    const missing = (letter: string) => {
      const found = new RegExp(`${NAMES[letter as "W"]} ([0-9]+)/([0-9]+)`).exec(text)!;
      return Number(found[1]) < Number(found[2]);
    };
    const [own, others] = agent === 0 ? ["W", "SI"] : ["SI", "W"];
    const wanted = cellsWith(map, [...own!].filter(missing).join(""));
    const news = cellsWith(map, others!).filter((cell) => !told.has(cell.join())).slice(0, 8);
    for (const cell of news) told.add(cell.join());
    const say = news.length === 0
      ? []
      : [`/say deposits at ${news.map((c) => c.join()).join(" ")}`];
    const inReach = (cell: Cell) => wanted.filter((deposit) => reach(deposit, cell) <= 2);
    const here = inReach(at)[0];
    const gather = here ? [1, 2].map(() => `/gather ${here.join(" ")}`) : [];
    const ground = (cell: Cell) => letterAt(map, cell) === "." ? 1 : Infinity;
    const way = here
      ? undefined
      : cheapestWay(map, at, (cell) => inReach(cell).length > 0, ground) ??
        cheapestWay(
          map,
          at,
          (cell) => cellsWith(map, "?").some((unknown) => reach(unknown, cell) <= 2),
          ground,
        );
    const path = letters(at, way ?? [], 4, (cell) => ground(cell) === 1);
    return [...say, ...(path === "" ? [] : [`/move ${path}`]), ...gather].join("\n");
  };
}
