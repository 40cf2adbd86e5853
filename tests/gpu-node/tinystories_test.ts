/**
 * A real Llama checkpoint against its golden file, through our own sampler and through
 * Transformers.js on the folder that we export.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadTransformers } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { dataTest } from "../support/data.ts";

interface Case {
  prompt: string;
  ids: number[];
  logprobs: number[];
  greedy_ids: number[];
  greedy_text: string;
}

const goldenOf = (folder: string) => JSON.parse(Deno.readTextFileSync(`${folder}.golden.json`));

dataTest(
  "tinystories-260k: token ids, log-probabilities and greedy text equal the golden file",
  "models/tinystories-260k",
  async (folder) => {
    const golden = goldenOf(folder);
    const node = new Kernel(await cpuDevice());
    await node.load({ policy: "p", source: folder });
    const tokenizer = await loadTokenizer(folder);
    const greedy = (prompt: number[], max_tokens: number) =>
      node.sample({
        policy: "p",
        prompts: [prompt],
        seeds: [0],
        max_tokens,
        temperature: 0,
        stop_tokens: [],
      })
        .then((r) => r.completions[0]!.tokens);

    const ids = golden.greedy_from_bos.ids as number[];
    assert.deepEqual(await greedy([1], ids.length - 1), ids.slice(1));
    for (const c of golden.cases as Case[]) {
      assert.deepEqual(tokenizer.encode(c.prompt, { addSpecialTokens: true }), c.ids);
      const { logprobs } = await node.score("p", [{ tokens: c.ids, prompt_length: 1 }]);
      c.logprobs.forEach((x, i) => assert.ok(Math.abs(logprobs[0]![i]! - x) < 1e-4));
      assert.deepEqual(await greedy(c.ids, c.greedy_ids.length), c.greedy_ids);
    }
  },
);

dataTest(
  "tinystories-260k: Transformers.js loads the exported folder and generates the same text",
  "models/tinystories-260k",
  async (folder) => {
    const golden = goldenOf(folder);
    const target = join(await Deno.makeTempDir(), "exported");
    const node = new Kernel(await cpuDevice());
    await node.load({ policy: "p", source: folder });
    await node.save("p", target);
    const { AutoModelForCausalLM, AutoTokenizer } = await loadTransformers();
    const tokenizer = await AutoTokenizer.from_pretrained(target, { local_files_only: true });
    const model = await AutoModelForCausalLM.from_pretrained(target, {
      local_files_only: true,
      dtype: "fp32",
      device: "cpu",
    });
    for (const c of golden.cases as Case[]) {
      const inputs = tokenizer(c.prompt);
      const output = await model.generate({
        ...inputs,
        max_new_tokens: c.greedy_ids.length,
        do_sample: false,
      });
      // deno-lint-ignore no-explicit-any -- the library's return type is a union without tolist
      const all = (output as any).tolist()[0].map(Number) as number[];
      assert.deepEqual(all, [...c.ids, ...c.greedy_ids]);
      const text = tokenizer.decode(all.slice(c.ids.length), { skip_special_tokens: true });
      assert.equal(text.trimStart(), c.greedy_text.trimStart());
    }
    await model.dispose();
    await Deno.remove(target, { recursive: true });
  },
);
