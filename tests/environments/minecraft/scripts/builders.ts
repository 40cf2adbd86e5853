/** A scripted bridge team: one builds and tests pillars, the other scouts from the far bank. */
import {
  beside,
  type Cell,
  cellsWith,
  letterAt,
  reach,
  type Rows,
} from "../../../../shared/environments/minecraft/grid/grid.ts";
import { cheapestWay, letters, type Player, readMap, readPlace } from "./reading.ts";

const VIEW = 3;
const dry = (map: Rows, at: Cell) => "#ST=".includes(letterAt(map, at));

function probes(map: Rows, at: Cell): string[] {
  return cellsWith(map, "P").filter((pillar) => reach(pillar, at) <= VIEW).slice(0, 2)
    .map((pillar) => `/probe ${pillar.join(" ")}`);
}

/** Walks its bank up and down, tests pillars and tells what it knows of them. */
export function scout(): Player {
  let [down, turn] = [true, 0];
  return (text) => {
    const [map, at] = [readMap(text), readPlace(text)];
    const known = [...cellsWith(map, "YN"), ...cellsWith(map, "T")];
    const some = known.slice((8 * turn++) % Math.max(1, known.length)).slice(0, 8);
    if (at[1] === map.length - 1) down = false;
    if (at[1] === 0) down = true;
    const say = `/say ${some.map((cell) => cell.join()).join(" ")}`;
    return [...probes(map, at), say, `/move ${down ? "SS" : "NN"}`].join("\n");
  };
}

/** Builds towards true pillars, then towards the far bank, and keeps off all other pillars. */
export function builder(): Player {
  return (text) => {
    const [map, at] = [readMap(text), readPlace(text)];
    const cost = (cell: Cell) => {
      if (dry(map, cell)) return 0.01;
      const bad = beside(map, cell).some((next) => "PN".includes(letterAt(map, next)));
      return "YNP".includes(letterAt(map, cell)) || bad ? Infinity : 1;
    };
    const open = cellsWith(map, "Y").filter((pillar) =>
      !beside(map, pillar).some((next) => letterAt(map, next) === "=")
    );
    const besidePillar = (cell: Cell) =>
      beside(map, cell).some((next) => open.some((pillar) => pillar.join() === next.join())) &&
      !"#ST".includes(letterAt(map, cell));
    const far = (cell: Cell) =>
      cellsWith(map, "T").length > 0 ? letterAt(map, cell) === "T" : cell[0] === map[0]!.length - 1;
    const way = cheapestWay(map, at, besidePillar, cost) ?? cheapestWay(map, at, far, cost) ?? [];
    // Builds the first cells of the way that it sees, and walks onto them.
    const sure: Cell[] = [];
    for (const cell of way) {
      const seen = reach(cell, at) <= VIEW && letterAt(map, cell) !== "?";
      if (!seen || beside(map, cell).some((next) => letterAt(map, next) === "?")) break;
      sure.push(cell);
    }
    const fills = sure.filter((cell) => letterAt(map, cell) === ".").slice(0, 8)
      .map(([x, z]) => `/fill ${x} ${z} ${x} ${z} stone`);
    const path = letters(at, sure, 4, () => true);
    return [...probes(map, at), ...fills, ...(path === "" ? [] : [`/move ${path}`])].join("\n");
  };
}
