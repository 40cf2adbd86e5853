/**
 * Checkpoints over HTTP, file by file. Leaves out where they lie (checkpoints.ts): an adapter that
 * this server saved names its base as clients know it.
 */
import { z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { checkpointInfo, savedCheckpoint, saveRequest, UPLOAD_ID } from "../../shared/wire/gpu.ts";
import { answers, body } from "../../shared/wire/openapi.ts";
import { readBody } from "../../shared/wire/parse.ts";
import { ADAPTER_CONFIG } from "../model/lora.ts";
import { jsonBytes, readJsonObject } from "../model/files.ts";
import type { CheckpointInfo } from "./checkpoints.ts";
import type { GpuHono, GpuServer } from "./server.ts";
import { within } from "./wait.ts";

const params = z.object({ id: z.string() });
const file = z.object({ id: z.string(), name: z.string() });
const bytes = {
  "application/octet-stream": { schema: { type: "string" as const, format: "binary" } },
};
const tags = ["checkpoints"];

export function checkpointRoutes(app: GpuHono, { policies, checkpoints }: GpuServer): void {
  const { registerPath } = bound(app);
  const requireUnused = (id: string, deed: string) => {
    if (!policies.sources().has(id)) return;
    throw new CollmError("conflict", `Cannot ${deed} checkpoint '${id}': a policy comes from it`);
  };
  /** Bytes of a file that clients see otherwise than it lies here, or null. */
  async function shown(id: string, name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    if (name !== ADAPTER_CONFIG || UPLOAD_ID.test(id)) return null;
    const config = readJsonObject(checkpoints.file(id, name));
    const base = config.base_model_name_or_path;
    const named = typeof base === "string" ? await policies.nameOfBase(base) : null;
    return jsonBytes({ ...config, base_model_name_or_path: named });
  }
  async function described<Info extends CheckpointInfo>(info: Info): Promise<Info> {
    const files = info.files.map(async ({ name, bytes }) => ({
      name,
      bytes: (await shown(info.id, name))?.length ?? bytes,
    }));
    return { ...info, files: await Promise.all(files) };
  }
  registerPath({
    method: "post",
    path: "/v1/checkpoints",
    operationId: "save",
    summary: "Save a policy with its optimizer state, or an adapter merged into its base",
    tags,
    request: { body: body(saveRequest) },
    responses: {
      ...answers(200, "Saved before", savedCheckpoint),
      ...answers(201, "Saved", savedCheckpoint),
    },
  });
  app.post("/v1/checkpoints", async (c) => {
    const { policy, form } = await readBody(c.req, saveRequest, "checkpoint request");
    const version = () => policies.version(policy);
    version();
    const { signal } = c.var.wait;
    const save = checkpoints.save(policies.node, policy, version, form, { signal });
    const saved = await within(save, signal);
    return c.json(await described(saved), saved.created ? 201 : 200);
  });

  registerPath({
    method: "get",
    path: "/v1/checkpoints/{id}",
    operationId: "describeCheckpoint",
    summary: "Files of a checkpoint",
    tags,
    request: { params },
    responses: answers(200, "Files", checkpointInfo),
  });
  app.get(
    "/v1/checkpoints/:id",
    async (c) => c.json(await described(checkpoints.describe(c.req.param("id")))),
  );

  registerPath({
    method: "delete",
    path: "/v1/checkpoints/{id}",
    operationId: "deleteCheckpoint",
    summary: "Delete a checkpoint that no policy comes from",
    tags,
    request: { params },
    responses: { 204: { description: "Done" } },
  });
  app.delete("/v1/checkpoints/:id", (c) => {
    const id = c.req.param("id");
    requireUnused(id, "delete");
    checkpoints.remove(id);
    return c.body(null, 204);
  });

  registerPath({
    method: "get",
    path: "/v1/checkpoints/{id}/files/{name}",
    operationId: "readCheckpointFile",
    summary: "One file of a checkpoint; its name may hold slashes",
    tags,
    request: { params: file },
    responses: { 200: { description: "The file", content: bytes } },
  });
  app.get("/v1/checkpoints/:id/files/:name{.+}", async (c) => {
    const { id, name } = c.req.param();
    const content = await shown(id, name) ?? (await Deno.open(checkpoints.file(id, name))).readable;
    return c.body(content, 200, { "content-type": "application/octet-stream" });
  });

  registerPath({
    method: "put",
    path: "/v1/checkpoints/{id}/files/{name}",
    operationId: "uploadCheckpointFile",
    summary: "Bring one file of a checkpoint; its id is `upload.` and 32 hex digits of SHA-256 " +
      "over each file in name order: name, NUL, bytes",
    tags,
    request: { params: file, body: { required: true, content: bytes } },
    responses: { 204: { description: "Done" } },
  });
  // Streams to disk, under a limit of its own.
  app.put("/v1/checkpoints/:id/files/:name{.+}", async (c) => {
    const { id, name } = c.req.param();
    requireUnused(id, "change");
    await checkpoints.upload(id, name, c.req.raw.body);
    return c.body(null, 204);
  });
}

const bound = ({ openAPIRegistry: registry }: GpuHono) => ({
  registerPath: registry.registerPath.bind(registry),
});
