/**
 * Exported folders in a browser: Transformers.js's web build on onnxruntime-web generates PyTorch's
 * greedy tokens, and its text-generation pipeline writes what our own sampler does.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { textRows } from "../../shared/environments/minecraft/font.ts";
import { compactText } from "../../shared/environments/minecraft/str_build/compact.ts";
import { FAMILIES, golden } from "../gpu-node/golden.ts";
import { browserTest, withPage } from "./page.ts";

/** The library as the page has it, with everything local; runs in the page. */
const SETUP = `
  globalThis.library = (async () => {
    const address = "/library/transformers.js";
    const library = await import(address);
    const { env } = library;
    Object.assign(env, { allowLocalModels: true, allowRemoteModels: false });
    env.localModelPath = "/models/";
    env.backends.onnx.wasm.wasmPaths = "/runtime/";
    env.backends.onnx.wasm.numThreads = 1;
    return library;
  })();
`;

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

browserTest(
  "a browser generates PyTorch's greedy tokens from folders that save wrote",
  () =>
    inFolder(async (models) => {
      const node = new Kernel(await cpuDevice());
      for (const family of FAMILIES) {
        await node.load({ policy: family, source: golden(family).folder });
        await node.save(family, join(models, family));
      }
      await withPage(models, async (page, requested) => {
        await page.evaluate(SETUP);
        for (const family of FAMILIES) {
          const { prompt, new_tokens } = golden(family).expected.greedy;
          const tokens = await page.evaluate(async ({ family, prompt, count }) => {
            // deno-lint-ignore no-explicit-any -- the page's global, set up above
            const { AutoModelForCausalLM, Tensor } = await (globalThis as any).library;
            const model = await AutoModelForCausalLM.from_pretrained(family, {
              dtype: "fp32",
              device: "wasm",
            });
            const row = (values: number[]) =>
              new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
            const output = await model.generate({
              input_ids: row(prompt),
              attention_mask: row(prompt.map(() => 1)),
              max_new_tokens: count,
              do_sample: false,
              eos_token_id: -1,
            });
            return output.tolist()[0].map(Number).slice(prompt.length) as number[];
          }, { family, prompt: prompt as number[], count: new_tokens.length as number });
          assert.deepEqual(tokens, new_tokens, family);
          assert.ok(requested.includes(`/models/${family}/onnx/model.onnx`));
        }
      });
    }),
);

browserTest(
  "a browser's text-generation pipeline writes what sample does",
  () =>
    inFolder(async (models) => {
      const node = new Kernel(await cpuDevice());
      await node.load({ policy: "p", source: "models/collm-tiny" });
      await node.save("p", join(models, "tiny"));
      const tokenizer = await loadTokenizer(join(models, "tiny"));
      const messages = [{ role: "user", content: compactText(textRows("IL"), 0, 1, null) }];
      const ids = tokenizer.applyChat(messages);
      const { completions } = await node.sample({
        policy: "p",
        prompts: [ids],
        seeds: [0],
        max_tokens: 24,
        temperature: 0,
        stop_tokens: [...tokenizer.eosIds],
      });
      const content = tokenizer.decode(completions[0]!.tokens, { continuation: true });
      assert.ok(content.length > 10, content);
      await withPage(models, async (page) => {
        await page.evaluate(SETUP);
        const conversation = await page.evaluate(async (messages) => {
          // deno-lint-ignore no-explicit-any -- the page's global, set up above
          const { pipeline } = await (globalThis as any).library;
          const options = { dtype: "fp32", device: "wasm" };
          const generate = await pipeline("text-generation", "tiny", options);
          const settings = { max_new_tokens: 24, do_sample: false };
          return (await generate(messages, settings))[0].generated_text;
        }, messages);
        assert.deepEqual(conversation, [...messages, { role: "assistant", content }]);
      });
    }),
);
