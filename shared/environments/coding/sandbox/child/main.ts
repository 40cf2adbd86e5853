/**
 * The program of one sandbox process: CPython as WebAssembly, started without any permission.
 * Everything it needs comes through standard input first; from then on Python talks to the parent
 * (channel.ts) behind the wall (wall.ts), and after every program the whole memory is put back as
 * it was. Leaves out what the lines mean (harness.ts) and every verdict.
 */
import { Channel, End, KEEP_BYTES, type Memory } from "./channel.ts";
import { exit, readExactly, readLine, tell, writeAll } from "./pipe.ts";
import { guarded, type Import, Trap } from "./wall.ts";
import { startWatchdog } from "./watchdog.ts";

interface OpenFile {
  fd: number;
}

/** What is used of the engine's module object. */
interface Engine extends Memory {
  FS: { streams: (OpenFile | null | undefined)[]; close(file: OpenFile): void };
  stringToNewUTF8(text: string): number;
  _PyRun_SimpleString(text: number): number;
  _sbrk(bytes: number): number;
  stackSave(): number;
  stackRestore(pointer: number): void;
}

interface Python {
  _module: Engine;
  runPython(code: string): unknown;
  setInterruptBuffer(buffer: unknown): void;
  makeMemorySnapshot(): Uint8Array;
}

/** Whether the engine may still use all its imports; for good no longer once it has started. */
let open = true;
const channel = new Channel(startWatchdog());
const decoder = new TextDecoder();
const { files, python } = await boot();
if (files.has("make")) {
  const made = python.makeMemorySnapshot();
  tell(`S${made.length}`);
  writeAll(made);
  exit(0);
}
files.clear();
python.setInterruptBuffer(channel.interrupts);
serve(python._module);

async function boot(): Promise<{ files: Map<string, Uint8Array<ArrayBuffer>>; python: Python }> {
  const sizes: [string, number][] = JSON.parse(decoder.decode(readLine()));
  const files = new Map(sizes.map(([name, size]) => [name, readExactly(size)]));
  const file = (name: string) => files.get(name)!;
  // The engine must not take this process for Node or Deno: it would ask for files.
  Reflect.deleteProperty(globalThis, "Deno");
  Reflect.deleteProperty(globalThis, "process");
  Reflect.set(globalThis, "WorkerGlobalScope", { [Symbol.hasInstance]: () => true });
  globalThis.fetch = () => Promise.resolve(new Response(file("python_stdlib.zip")));
  const compiled = await WebAssembly.compile(file("pyodide.asm.wasm"));
  WebAssembly.instantiateStreaming = async (_source, imports = {}) => {
    build(imports["env"] as Record<string, Import>);
    build(imports["wasi_snapshot_preview1"] as Record<string, Import>);
    return { instance: await WebAssembly.instantiate(compiled, imports), module: compiled };
  };
  const load = (name: string) =>
    import(URL.createObjectURL(new Blob([file(name)], { type: "text/javascript" })));
  const [{ loadPyodide }, { default: createPyodideModule }] = await Promise.all(
    ["pyodide.mjs", "pyodide.asm.mjs"].map(load),
  );
  const snapshot = files.get("snapshot");
  const python: Python = await loadPyodide({
    createPyodideModule,
    indexURL: "http://x.invalid/",
    lockFileContents: decoder.decode(file("pyodide-lock.json")),
    stdin: () => null,
    stdout: () => {},
    stderr: () => {},
    ...snapshot ? { _loadSnapshot: snapshot } : {},
    ...files.has("make") ? { _makeSnapshot: true } : {},
  });
  if (!snapshot) python.runPython(decoder.decode(file("harness.py")));
  return { files, python };
}

/** Puts the wall around the engine's imports. */
function build(imports: Record<string, Import>): void {
  for (const [name, original] of Object.entries(imports)) {
    if (typeof original !== "function") continue;
    const inside = channel.own(name, original) ?? guarded(name, original);
    imports[name] = (...parameters) => open ? original(...parameters) : inside(...parameters);
  }
}

/** One program after another, each on the same memory image. */
function serve(engine: Engine): never {
  channel.memory = engine;
  const program = engine.stringToNewUTF8("_serve()");
  const stack = engine.stackSave();
  const used = engine._sbrk(0);
  const image = engine.HEAPU8.slice(0, used);
  const filesOpen = engine.FS.streams.length;
  open = false;
  for (;;) {
    tell("R");
    try {
      engine._PyRun_SimpleString(program);
      throw new Trap("left its loop");
    } catch (error) {
      if (!(error instanceof End)) die(error);
    }
    if (engine.HEAPU8.length > KEEP_BYTES) die(new Trap("used much memory"));
    engine.HEAPU8.set(image);
    engine.HEAPU8.fill(0, used);
    engine.stackRestore(stack);
    for (const file of engine.FS.streams.slice(filesOpen)) if (file) engine.FS.close(file);
    channel.clear();
  }
}

/** Leaves with the reason: fatal errors of Python, traps, exhausted stacks. */
function die(error: unknown): never {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  tell(`X${reason.replaceAll(/\s+/g, " ").slice(0, 300)}`);
  exit(0);
}
