/**
 * The 26 capital letters as 5 by 5 glyphs, and text set in them.
 * Rows are listed from the top; '#' is a block, '.' is empty. Leaves out every other character:
 * they are set as blanks, as the published task does.
 */

/** Columns and rows of one glyph. */
export const GLYPH_SIZE = 5;
/** Empty columns between two glyphs in the published task. */
export const SPACING = 2;
/** The letters that have a glyph. */
export const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const GLYPHS: Readonly<Record<string, string>> = {
  A: ".###. #...# ##### #...# #...#",
  B: "####. #...# ####. #...# ####.",
  C: ".#### #.... #.... #.... .####",
  D: "####. #...# #...# #...# ####.",
  E: "##### #.... ####. #.... #####",
  F: "##### #.... ####. #.... #....",
  G: ".#### #.... #.### #...# .###.",
  H: "#...# #...# ##### #...# #...#",
  I: "##### ..#.. ..#.. ..#.. #####",
  J: "..### ...#. ...#. #..#. .##..",
  K: "#...# #..#. ###.. #..#. #...#",
  L: "#.... #.... #.... #.... #####",
  M: "#...# ##.## #.#.# #...# #...#",
  N: "#...# ##..# #.#.# #..## #...#",
  O: ".###. #...# #...# #...# .###.",
  P: "####. #...# ####. #.... #....",
  Q: ".###. #...# #...# #..## .####",
  R: "####. #...# ####. #..#. #...#",
  S: ".#### #.... .###. ....# ####.",
  T: "##### ..#.. ..#.. ..#.. ..#..",
  U: "#...# #...# #...# #...# .###.",
  V: "#...# #...# #...# .#.#. ..#..",
  W: "#...# #...# #.#.# ##.## #...#",
  X: "#...# .#.#. ..#.. .#.#. #...#",
  Y: "#...# .#.#. ..#.. ..#.. ..#..",
  Z: "##### ...#. ..#.. .#... #####",
};
const BLANK = Array<string>(GLYPH_SIZE).fill(".....").join(" ");

/** The five rows of one character, top first. */
export function glyph(character: string): string[] {
  return (GLYPHS[character.toUpperCase()] ?? BLANK).split(" ");
}

/** The five rows of a text, top first, with `spacing` empty columns between characters. */
export function textRows(text: string, spacing = SPACING): string[] {
  const glyphs = [...text].map(glyph);
  const gap = ".".repeat(spacing);
  return Array.from(
    { length: GLYPH_SIZE },
    (_, row) => glyphs.map((rows) => rows[row]!).join(gap),
  );
}
