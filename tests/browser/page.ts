/**
 * A page in headless Chromium in which Transformers.js runs models of this machine: the library,
 * the runtime's WebAssembly and model folders come from a server of its own, nothing from outside.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPlaywright, type Page } from "../../deps.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

const TYPES: Record<string, string> = {
  js: "text/javascript",
  mjs: "text/javascript",
  wasm: "application/wasm",
  json: "application/json",
};

const transformers = dirname(fileURLToPath(import.meta.resolve("@huggingface/transformers")));
const runtime = dirname(
  createRequire(Deno.realPathSync(join(transformers, "transformers.js"))).resolve(
    "onnxruntime-web",
  ),
);

/** A test in Chromium; says why it is skipped, and fails instead under COLLM_REQUIRE_BROWSER=1. */
export function browserTest(name: string, run: () => Promise<void>): void {
  const found = CHROMIUM.find((path) => existsSync(path));
  if (!found && Deno.env.get("COLLM_REQUIRE_BROWSER") !== "1") {
    console.log(`skipping '${name}': no Chromium at ${CHROMIUM.join(", ")}`);
    Deno.test.ignore(name, run);
  } else Deno.test(name, run);
}

/** Runs `use` in a fresh page whose `/models/<name>/` are the folders `models/<name>`. */
export async function withPage(
  models: string,
  use: (page: Page, requested: readonly string[]) => Promise<void>,
): Promise<void> {
  const requested: string[] = [];
  const folders: Record<string, string> = { library: transformers, runtime, models };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const path = decodeURIComponent(new URL(request.url).pathname);
    requested.push(path);
    if (path === "/") {
      return new Response("<!doctype html>", { headers: { "content-type": "text/html" } });
    }
    const [, folder, ...rest] = normalize(path).split("/");
    const root = folders[folder!];
    const file = root && join(root, ...rest);
    if (!file || !existsSync(file)) return new Response(null, { status: 404 });
    const type = TYPES[file.split(".").at(-1)!] ?? "application/octet-stream";
    const { size } = await Deno.stat(file);
    return new Response((await Deno.open(file)).readable, {
      headers: { "content-type": type, "content-length": `${size}` },
    });
  });
  const { chromium } = await loadPlaywright();
  const executablePath = CHROMIUM.find((path) => existsSync(path)) ?? CHROMIUM[0]!;
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  try {
    const page = await browser.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    const { port } = server.addr as Deno.NetAddr;
    await page.goto(`http://127.0.0.1:${port}/`);
    await use(page, requested);
    if (faults.length > 0) throw new Error(`The page failed: ${faults.join("; ")}`);
  } finally {
    await browser.close();
    await server.shutdown();
  }
}
