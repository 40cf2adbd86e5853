/** Pictures: SVG of builds, PNG with text, galleries. */
import assert from "node:assert/strict";
import { gallery, svgToPng } from "../../shared/environments/picture.ts";
import type { Environment } from "../../shared/environments/environment.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { createStrBuild } from "../../shared/environments/minecraft/str_build/index.ts";

const environment = createStrBuild();
const I = { word: "I", max_commands: 300 };
const picture = (agent_1: string, agent_2 = "") => environment.render!(I, { agent_1, agent_2 });
const count = (text: string, part: string) => text.split(part).length - 1;

/** Width and height in the header of a PNG file. */
function pngSize(png: Uint8Array): [number, number] {
  assert.deepEqual([...png.slice(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
  const view = new DataView(png.buffer, png.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
}

Deno.test("render shows blocks, empty target cells, misplaced blocks and the caption", () => {
  const empty = picture("");
  assert.equal(count(empty, "stroke-dasharray"), 13);
  assert.match(empty, />I<\/text>/);
  assert.match(empty, />reward -0.50, IoU 0 %<\/text>/);
  const some = picture("/setblock 0 0 0 stone\n/setblock 0 1 0 stone", "/setblock 4 4 0 obsidian");
  assert.equal(count(some, "stroke-dasharray"), 11);
  assert.equal(count(some, "#e0342b"), 1);
  assert.match(some, /IoU 14 %/);
  assert.doesNotMatch(some, /NaN|undefined/);
});

Deno.test("svgToPng draws the picture, with its text, at the scale asked for", async () => {
  const svg = picture("/setblock 0 0 0 stone");
  const [width, height] = ["width", "height"].map((name) =>
    Number(new RegExp(`${name}="([0-9.]+)"`).exec(svg)![1])
  );
  const png = await svgToPng(svg, 2);
  const size = pngSize(png);
  assert.ok(Math.abs(size[0] - 2 * width!) <= 2 && Math.abs(size[1] - 2 * height!) <= 2);
  const withoutText = await svgToPng(svg.replaceAll(/<text.*<\/text>/g, ""), 2);
  assert.ok(png.length > withoutText.length + 500, "text leaves no trace in the PNG");
});

Deno.test("gallery puts pictures side by side and in rows", async () => {
  const one = picture("");
  const sizeOf = async (svgs: string[], columns: number) =>
    pngSize(await svgToPng(gallery(svgs, columns), 1));
  const [single, row, square] = [
    await sizeOf([one], 2),
    await sizeOf([one, one], 2),
    await sizeOf([one, one, one], 2),
  ];
  assert.ok(row[0] > 1.9 * single[0] - 24 && row[1] === single[1]);
  assert.ok(square[0] === row[0] && square[1] > 1.9 * single[1] - 24);
  assert.throws(() => gallery([one], 0), { name: "CollmError", message: /columns is 0/ });
  assert.throws(() => gallery(["<p>"], 1), { name: "CollmError", message: /sized <svg>/ });
});

Deno.test("pictures hold any title: what XML forbids is replaced", async () => {
  const title = "a\u0001b\u000b\ufffe\ud800 <c> & \u{1f600}";
  for (const id of ["str_build", "bridge_build", "resource_gathering", "house_build"]) {
    const environment: Environment = createEnvironment(id);
    const { task } = environment.item("eval", 0);
    const actions = Object.fromEntries(environment.agents.map((agent) => [agent, ""]));
    const svg = environment.render!(task, actions, title);
    assert.match(svg, /a\ufffdb\ufffd\ufffd\ufffd &lt;c&gt; &amp; /u, id);
    assert.ok((await svgToPng(svg)).length > 1000);
  }
});
