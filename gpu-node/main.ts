/**
 * `deno task gpu`: the GPU node as a server. Loads the named models, each as a policy of its name,
 * then listens. Ends with one clear sentence when it cannot; drains on SIGTERM.
 */
import { loadCommander } from "../deps.ts";
import project from "../deno.json" with { type: "json" };
import { CollmError } from "../shared/errors.ts";
import { oneOf, port, runCommand, threads, whole } from "../shared/flags.ts";
import { NAME } from "../shared/wire/gpu.ts";
import { MESSAGE_LIMIT } from "../shared/wire/gpu_socket.ts";
import { requireGuard } from "../shared/wire/listen.ts";
import { listenNode } from "../shared/wire/listen_node.ts";
import { hubModelFolder, modelFolder } from "./hub.ts";
import { openLastingNode } from "./lasting_node.ts";
import { terminalBar } from "./progress.ts";
import { openScheduler } from "./scheduler.ts";
import { createGpuApp } from "./server/app.ts";
import { Checkpoints } from "./server/checkpoints.ts";
import { counted, createMetrics } from "./server/metrics.ts";
import { servePolicies } from "./server/policies.ts";
import { DEVICE_CHOICES, type DeviceChoice } from "./verbs.ts";
import { openWorkerNode } from "./worker_client.ts";

export interface GpuServerOptions {
  host: string;
  port: number;
  /** Folder or hub id of each model by its name. */
  model: ReadonlyMap<string, string>;
  checkpoints: string;
  device: DeviceChoice;
  token: string | undefined;
  /** Clients may load models by their id on the hub. */
  allowHub?: boolean;
  /** Requests that wait at most. */
  maxQueue?: number;
  /** CPU threads of an operation. */
  threads?: number;
}

/** Serves until a signal or `drain`; throws CollmError where model, address or device is wrong. */
export async function serveGpu({ model, ...options }: GpuServerOptions) {
  requireGuard(options);
  const { checkpoints: root, device: choice, allowHub = false, maxQueue, threads, token } = options;
  const onFault = console.error;
  // First, because a worker may die as early as it likes; what they read is there by then.
  const waiting = () => node.waiting;
  const metrics = await createMetrics({ waiting, policies: () => policies.names().length });
  const lasting = openLastingNode(() => openWorkerNode({ device: choice, threads }), {
    onFault,
    onRestart(cause) {
      console.error(`${cause.message}; it is started again`);
      metrics.restarted();
    },
  });
  const { device } = await lasting.health();
  const node = openScheduler(lasting, {
    ...maxQueue !== undefined && { requests: maxQueue },
    onCall: (call) => metrics.call(call),
  });
  const checkpoints = new Checkpoints(root);
  const models = new Map<string, string>();
  for (const [policy, source] of model) {
    models.set(policy, await modelFolder({ policy, source }, device, terminalBar()));
  }
  const policies = servePolicies({
    node: counted(node, metrics),
    models,
    checkpoints,
    // A client's id is one of the hub's: what paths there are here, it does not learn.
    ...allowHub && { fromHub: (request) => hubModelFolder(request, device, terminalBar()) },
  });
  for (const name of model.keys()) await policies.load({ policy: name, source: name });
  const { version } = project;
  const app = createGpuApp({ policies, checkpoints, metrics, waiting, token, version, onFault });
  const server = await listenNode(
    { ...options, drain: app.drain, mostMessage: 2 * MESSAGE_LIMIT },
    app.fetch,
  );
  const close = () => {
    policies.close();
    return node.close();
  };
  return { ...server, device, finished: server.finished.then(close) };
}

/** `--model NAME=FOLDER`, any number of times. */
function addModel(text: string, known: ReadonlyMap<string, string>): Map<string, string> {
  const at = text.indexOf("=");
  const [name, folder] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
  if (at < 1 || folder === "") {
    throw new CollmError("invalid_request", `Cannot use --model '${text}': expected NAME=FOLDER`);
  }
  if (!NAME.test(name)) {
    throw new CollmError(
      "invalid_request",
      `Cannot use --model '${text}': the name may hold letters, digits, '.', '_' and '-' only`,
    );
  }
  if (known.has(name)) {
    throw new CollmError("invalid_request", `Cannot use --model '${text}': '${name}' is taken`);
  }
  return new Map(known).set(name, folder);
}

async function main(args: string[]): Promise<void> {
  const { Command } = await loadCommander();
  const program = new Command("gpu")
    .description("Serve policies and critics: sample, score, values, update")
    .option("--port <n>", "port to listen on, 0 for any free one", port, 8100)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option(
      "--model <name=source>",
      "checkpoint folder or hub id (owner/model) to serve, repeatable",
      addModel,
      new Map(),
    )
    .option(
      "--device <name>",
      "cpu, webgpu, cuda, or auto for the first that is there of cuda, webgpu, cpu",
      oneOf("--device", DEVICE_CHOICES),
      "cpu",
    )
    .option("--threads <n>", "threads of the CPU (default: 2)", threads)
    .option("--allow-hub", "let clients load models by their id on the Hugging Face hub")
    .option("--max-queue <n>", "requests that wait at most", whole("--max-queue", 1), 1024)
    .option("--checkpoints <folder>", "where checkpoints are kept", "runs/gpu-checkpoints")
    .addHelpText("after", "\nEnvironment:\n  COLLM_TOKEN  bearer token that requests must carry")
    .allowExcessArguments(false)
    .parse(args, { from: "user" });
  const options = program.opts<Omit<GpuServerOptions, "token">>();
  const { url, device, finished } = await serveGpu({
    ...options,
    token: Deno.env.get("COLLM_TOKEN") || undefined,
  });
  const models = [...options.model.keys()].join(", ") || "no models yet";
  console.log(`GPU node at ${url} on ${device} with ${models}`);
  await finished;
}

if (import.meta.main) await runCommand(main);
