/**
 * Pictures of block worlds: an axonometric SVG seen from the front, right and above, with
 * cubes in three shades, empty target cells as faint outlines and misplaced blocks marked.
 * Plain polygons and text only (no ids, no styles), so that pictures can be put into one another.
 * Leaves out PNG (../picture.ts).
 */
import { escapeXml } from "../picture.ts";
import { blockColour, shade } from "./colours.ts";
import { type Box, boxSize, type Position } from "./world.ts";

export interface WorldPicture {
  box: Box;
  /** Blocks that are there (no air). */
  blocks: { at: Position; block: string; misplaced: boolean }[];
  /** Target cells without a block. */
  empty: Position[];
  /** First line in bold. */
  caption: string[];
}

type Point = readonly [x: number, y: number];

/** Pixels per block and screen directions of the three axes (x right, y up, z to the viewer). */
const UNIT = 26;
const AXES: readonly Point[] = [[0.97, 0.13], [0, -1], [-0.4, 0.26]];
const MARGIN = 18;
const LINE_HEIGHT = 20;
const MARK = "#e0342b";

/** SVG document of a world. */
export function renderWorld({ box, blocks, empty, caption }: WorldPicture): string {
  const [width, height, depth] = boxSize(box);
  const corners = [0, width].flatMap((x) =>
    [0, height].flatMap((y) => [0, depth].map((z) => project([x, y, z])))
  );
  const left = Math.min(...corners.map(([x]) => x)) - MARGIN;
  const top = Math.min(...corners.map(([, y]) => y)) - MARGIN;
  const captionWidth = Math.max(0, ...caption.map((line) => line.length * 8.2)) + 2 * MARGIN;
  const right = Math.max(Math.max(...corners.map(([x]) => x)) + MARGIN, left + captionWidth);
  const bottom = Math.max(...corners.map(([, y]) => y)) + MARGIN;
  const total = bottom - top + caption.length * LINE_HEIGHT;

  const solid = new Set(blocks.map(({ at }) => at.join()));
  const from = box.from;
  const shapes = [
    ...blocks.map((item) => ({ at: item.at, shape: cube(local(item.at, from), item, solid) })),
    ...empty.map((at) => ({ at, shape: ghost(local(at, from)) })),
  ].sort((a, b) => depthOf(a.at) - depthOf(b.at));
  const lines = caption.map((line, index) =>
    `<text x="${px(left + MARGIN)}" y="${px(bottom + index * LINE_HEIGHT)}" ` +
    `font-family="DejaVu Sans, sans-serif" font-size="14" fill="#2a2f36"` +
    `${index === 0 ? ' font-weight="bold"' : ""}>${escapeXml(line)}</text>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${px(right - left)}" height="${px(total)}" ` +
    `viewBox="${px(left)} ${px(top)} ${px(right - left)} ${px(total)}">`,
    `<rect x="${px(left)}" y="${px(top)}" width="${px(right - left)}" height="${px(total)}" ` +
    `fill="#ffffff"/>`,
    ...backdrop(width, height, depth),
    ...shapes.map(({ shape }) => shape),
    ...lines,
    "</svg>",
  ].join("\n");
}

/** Later ones hide earlier ones: nearer means further right, up and to the front. */
function depthOf([x, y, z]: Position): number {
  return x + y + z;
}

function local(at: Position, from: Position): Position {
  return [at[0] - from[0], at[1] - from[1], at[2] - from[2]];
}

function project(at: Position): Point {
  const along = (axis: 0 | 1) => at.reduce((sum, value, i) => sum + value * AXES[i]![axis], 0);
  return [along(0) * UNIT, along(1) * UNIT];
}

/** Back wall with a faint grid, and the floor. */
function backdrop(width: number, height: number, depth: number): string[] {
  const wall = polygon([[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0]], "#f5f6f8");
  const floor = polygon([[0, 0, 0], [width, 0, 0], [width, 0, depth], [0, 0, depth]], "#e6e8ec");
  const lines: [Position, Position][] = [];
  for (let x = 0; x <= width; x++) lines.push([[x, 0, 0], [x, height, 0]]);
  for (let y = 0; y <= height; y++) lines.push([[0, y, 0], [width, y, 0]]);
  return [
    wall,
    floor,
    ...lines.map(([a, b]) => {
      const [[x1, y1], [x2, y2]] = [project(a), project(b)];
      return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ` +
        `stroke="#e3e6ea" stroke-width="1"/>`;
    }),
  ];
}

/** The visible faces of one block; a misplaced one gets a red frame. */
function cube(
  [x, y, z]: Position,
  { at, block, misplaced }: WorldPicture["blocks"][number],
  solid: Set<string>,
): string {
  const free = (dx: number, dy: number, dz: number) =>
    !solid.has([at[0] + dx, at[1] + dy, at[2] + dz].join());
  const colour = blockColour(block);
  const edge = shade(colour, 0.55);
  const faces: string[] = [];
  if (free(0, 1, 0)) {
    faces.push(polygon(quad([x, y + 1, z], [1, 0, 0], [0, 0, 1]), colour, edge));
  }
  if (free(1, 0, 0)) {
    faces.push(polygon(quad([x + 1, y, z], [0, 1, 0], [0, 0, 1]), shade(colour, 0.72), edge));
  }
  if (free(0, 0, 1)) {
    faces.push(polygon(inset(x, y, z + 1, 0), shade(colour, 0.9), edge));
    if (misplaced) faces.push(polygon(inset(x, y, z + 1, 0.14), "none", MARK, 2.5));
  }
  return faces.join("\n");
}

/** An empty target cell. */
function ghost([x, y, z]: Position): string {
  return polygon(inset(x, y, z + 0.5, 0.08), "#dfe8f5", "#9db2cf", 1, ' stroke-dasharray="3 3"');
}

/** Corners of a face: an origin and its two edges. */
function quad(at: Position, a: Position, b: Position): Position[] {
  const plus = (p: Position, q: Position): Position => [p[0] + q[0], p[1] + q[1], p[2] + q[2]];
  return [at, plus(at, a), plus(plus(at, a), b), plus(at, b)];
}

/** Corners of the front face, moved inwards by a part of the block. */
function inset(x: number, y: number, z: number, part: number): Position[] {
  const [l, r, b, t] = [x + part, x + 1 - part, y + part, y + 1 - part];
  return [[l, b, z], [r, b, z], [r, t, z], [l, t, z]];
}

function polygon(
  corners: readonly Position[],
  fill: string,
  outline = "none",
  strokeWidth = 1,
  more = "",
): string {
  const points = corners.map((at) => project(at).map(px).join(",")).join(" ");
  return `<polygon points="${points}" fill="${fill}" stroke="${outline}" ` +
    `stroke-width="${strokeWidth}" stroke-linejoin="round"${more}/>`;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
