/**
 * SVG to PNG, and several pictures in one. Text is set in DejaVu Sans from its package, so that
 * pictures look the same on machines without fonts. Leaves out drawing.
 */
import { fontFile, loadResvg } from "../../deps.ts";
import { CollmError } from "../errors.ts";

const GAP = 12;

/** PNG file of an SVG document, at `scale` pixels per SVG unit. */
export async function svgToPng(svg: string, scale = 2): Promise<Uint8Array> {
  const { Resvg } = await loadResvg();
  const resvg = new Resvg(svg, {
    fitTo: { mode: "zoom", value: scale },
    font: {
      loadSystemFonts: false,
      fontFiles: [fontFile("DejaVuSans.ttf"), fontFile("DejaVuSans-Bold.ttf")],
      defaultFontFamily: "DejaVu Sans",
    },
  });
  return new Uint8Array(resvg.render().asPng());
}

/** One SVG document with the given ones in rows of `columns`, such as before | after. */
export function gallery(svgs: readonly string[], columns: number): string {
  if (!Number.isInteger(columns) || columns < 1) {
    throw new CollmError("invalid_request", `Cannot lay out gallery: columns is ${columns}`);
  }
  const sizes = svgs.map(svgSize);
  const widths = Array.from(
    { length: Math.min(columns, svgs.length) },
    (_, column) => Math.max(...sizes.filter((_, i) => i % columns === column).map(([w]) => w)),
  );
  const parts: string[] = [];
  let y = GAP;
  for (let row = 0; row * columns < svgs.length; row++) {
    const inRow = sizes.slice(row * columns, (row + 1) * columns);
    let x = GAP;
    inRow.forEach((_, column) => {
      parts.push(svgs[row * columns + column]!.replace("<svg ", `<svg x="${x}" y="${y}" `));
      x += widths[column]! + GAP;
    });
    y += Math.max(...inRow.map(([, height]) => height)) + GAP;
  }
  const width = widths.reduce((sum, w) => sum + w + GAP, GAP);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" ` +
    `viewBox="0 0 ${width} ${y}">\n<rect width="${width}" height="${y}" fill="#ffffff"/>\n` +
    `${parts.join("\n")}\n</svg>`;
}

/** Width and height that the root element of an SVG document states, in SVG units. */
function svgSize(svg: string): [width: number, height: number] {
  const root = /^<svg [^>]*>/.exec(svg)?.[0] ?? "";
  const [width, height] = ["width", "height"].map((name) =>
    Number(new RegExp(` ${name}="([0-9.]+)"`).exec(root)?.[1])
  );
  if (width && height) return [width, height];
  throw new CollmError(
    "invalid_request",
    `Cannot lay out gallery: picture '${svg.slice(0, 40)}' does not start with a sized <svg>`,
  );
}

/** A text as XML holds it: marks escaped, characters that it forbids replaced by U+FFFD. */
export const escapeXml = (text: string): string =>
  text.toWellFormed()
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
