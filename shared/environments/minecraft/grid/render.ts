/** Picture of a map from above: a coloured square per cell, agents as circles, captions below. */
import { escapeXml } from "../../picture.ts";
import type { Cell, Rows } from "./grid.ts";

const UNIT = 26;
const MARGIN = 12;
const LINE_HEIGHT = 20;

/** SVG document of a map; letters without a colour are drawn grey. */
export function renderGrid(
  rows: Rows,
  agents: readonly Cell[],
  colours: Readonly<Record<string, string>>,
  caption: readonly string[],
): string {
  const wide = Math.max(rows[0]!.length * UNIT, ...caption.map((line) => 8.2 * line.length));
  const [width, height] = [
    Math.ceil(wide) + 2 * MARGIN,
    rows.length * UNIT + caption.length * LINE_HEIGHT + 2 * MARGIN,
  ];
  const squares = rows.flatMap((row, z) =>
    Array.from(
      row,
      (letter, x) =>
        `<rect x="${MARGIN + x * UNIT}" y="${MARGIN + z * UNIT}" width="${UNIT}" ` +
        `height="${UNIT}" fill="${colours[letter] ?? "#cccccc"}" stroke="#ffffff"/>`,
    )
  );
  const circles = agents.map(([x, z], i) => {
    const [cx, cy] = [MARGIN + (x + 0.5) * UNIT, MARGIN + (z + 0.5) * UNIT];
    return `<circle cx="${cx}" cy="${cy}" r="9" fill="#2a2f36"/>` +
      `<text x="${cx - 4}" y="${cy + 5}" font-family="DejaVu Sans, sans-serif" ` +
      `font-size="13" fill="#ffffff">${i + 1}</text>`;
  });
  const lines = caption.map((line, i) =>
    `<text x="${MARGIN}" y="${MARGIN + rows.length * UNIT + (i + 0.8) * LINE_HEIGHT}" ` +
    `font-family="DejaVu Sans, sans-serif" font-size="14" fill="#2a2f36">` +
    `${escapeXml(line)}</text>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...squares,
    ...circles,
    ...lines,
    "</svg>",
  ].join("\n");
}
