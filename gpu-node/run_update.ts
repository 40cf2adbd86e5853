/**
 * The verb `update`: one fused training step; or, where the batch takes several runs or only its
 * gradients are asked for, gradients summed run by run and then the optimizer on the sums.
 * The losses are in program/loss.ts, the batch's numbers in update/.
 */
import { CollmError } from "../shared/errors.ts";
import { dispose, recycle } from "./device.ts";
import { type Policy, weightsOf } from "./policy.ts";
import { isWide } from "./program/forward.ts";
import type { ProgramLibrary } from "./program/library.ts";
import { gradientName, sumName, type UpdateForm } from "./program/update.ts";
import { lossForm, type MicroBatch, responseLength, splitBatch } from "./update/feeds.ts";
import { gradientReport, logRatios, paddingOf, ratioReport } from "./update/report.ts";
import { adopt, type Feeds, moments, type Outputs, spareOf, stepFeeds } from "./update/state.ts";
import type { GradientReport, UpdateRequest, UpdateResult } from "./verbs.ts";

export async function runUpdate(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
): Promise<UpdateResult> {
  const batches = splitBatch(request);
  const rows = Math.max(...batches.map(({ feeds }) => feeds["rows"]!.data.length));
  const form = {
    ...lossForm(request),
    recompute: request.recompute ?? false,
    wide: request.loss !== "value_mse" && isWide(policy.spec.config, rows),
  };
  const fused = request.apply !== false && !request.report && batches.length === 1;
  const learnt = fused
    ? await fusedStep(library, policy, request, form, batches[0]!)
    : await accumulated(library, policy, request, form, batches);
  const { loss, norm } = learnt;
  const after = learnt.next ? scalar(learnt.next, "weight_norm") : 0;
  if (![loss, norm, after].every(Number.isFinite)) {
    dispose(Object.values(learnt.next ?? {}));
    const found = `loss is ${loss}, gradient norm ${norm}`;
    throw new CollmError(
      "invalid_request",
      `Cannot update policy '${policy.name}': ${found}` +
        (learnt.next ? `, norm of the new weights ${after}` : ""),
    );
  }
  if (learnt.next) adopt(policy, request, learnt.parameters, learnt.next);
  return {
    loss,
    grad_norm: norm,
    tokens: request.batch.reduce((n, s) => n + responseLength(s), 0),
    policy_version: policy.version,
    padding: paddingOf(batches),
    ...ratioReport(request, logRatios(batches, learnt.outputs)),
    ...learnt.gradients && { gradients: learnt.gradients },
  };
}

/** What an update found, before anything is changed. */
interface Learnt {
  loss: number;
  norm: number;
  parameters: string[];
  /** Outputs of every micro-batch. */
  outputs: Outputs[];
  /** New parameters and moments; absent when nothing is to be applied. */
  next?: Outputs;
  gradients?: Record<string, GradientReport>;
}

/** Forward, gradients and optimizer in one run. */
async function fusedStep(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
  form: UpdateForm,
  { feeds }: MicroBatch,
): Promise<Learnt> {
  const { program, parameters } = await library.update(policy.spec, form, "step");
  const output = await program.run({
    ...weightsOf(policy),
    ...moments(policy, parameters),
    ...stepFeeds(policy, request),
    ...feeds,
  }, spareOf(policy));
  return {
    loss: scalar(output, "loss"),
    norm: scalar(output, "grad_norm"),
    parameters,
    outputs: [output],
    next: output,
  };
}

/** Gradients summed over the runs, then (unless only asked for) the optimizer on the sums. */
async function accumulated(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
  form: UpdateForm,
  batches: readonly MicroBatch[],
): Promise<Learnt> {
  const { program, parameters } = await library.update(policy.spec, form, "gradients");
  const gradientsIn = (output: Outputs) =>
    new Map(parameters.map((name) => [name, output[gradientName(name)]!]));
  let sums: ReturnType<typeof gradientsIn> | null = null;
  let spare: Outputs = {};
  const outputs: Outputs[] = [];
  for (const { feeds } of batches) {
    const output: Outputs = await program.run({
      ...weightsOf(policy),
      ...Object.fromEntries(
        parameters.map((name) => [sumName(name), sums?.get(name) ?? zero(policy, name)]),
      ),
      ...feeds,
    }, spare);
    // What the runs before the last one left is written to by the next.
    if (sums) spare = Object.fromEntries(recycle(named(sums)));
    sums = gradientsIn(output);
    const { loss, grad_norm, logprobs } = output;
    outputs.push({ loss: loss!, grad_norm: grad_norm!, ...logprobs && { logprobs } });
  }
  const gradients = request.report && Object.fromEntries(
    await Promise.all([...sums!].map(async ([name, tensor]) => {
      const data = await library.device.read(tensor) as Float32Array;
      return [name, gradientReport(data)] as const;
    })),
  );
  const found = {
    loss: outputs.reduce((sum, output) => sum + scalar(output, "loss"), 0),
    norm: scalar(outputs.at(-1)!, "grad_norm"),
    parameters,
    outputs,
    ...gradients && { gradients },
  };
  if (request.apply === false) {
    dispose(sums!.values());
    return found;
  }
  const optimizer = await library.apply(policy.spec, parameters);
  const next = await optimizer.run({
    ...weightsOf(policy),
    ...Object.fromEntries(named(sums!)),
    ...moments(policy, parameters),
    ...stepFeeds(policy, request),
  }, spareOf(policy));
  dispose(sums!.values());
  return { ...found, next };
}

const named = (sums: ReadonlyMap<string, Outputs[string]>) =>
  [...sums].map(([name, tensor]): [string, Outputs[string]] => [gradientName(name), tensor]);

/** What the first run adds to: one zero for all elements. */
const zero = ({ spec }: Policy, name: string): Feeds[string] => ({
  data: Float32Array.of(0),
  dims: spec.shapes.get(name)!.map(() => 1),
});

const scalar = (output: Outputs, name: string): number => (output[name]!.data as Float32Array)[0]!;
