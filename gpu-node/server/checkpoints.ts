/**
 * Checkpoints of a GPU server: folders under one folder, by id. Saved ones are named by policy and
 * version, and by a hash where other files have that name; their content never changes. Uploaded ones are how a policy comes from another
 * machine. Ids and file names are looked up or matched against known forms, never joined as paths.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { CHECKPOINT_ID, UPLOAD_ID, UPLOAD_LIMIT } from "../../shared/wire/gpu.ts";
import { fileError } from "../model/files.ts";
import { isVersion } from "../policy.ts";
import type { GpuNode, SaveOptions, WaitOptions } from "../verbs.ts";
import { uploadId } from "./upload_id.ts";

export interface CheckpointFile {
  /** Path inside the checkpoint, with forward slashes. */
  name: string;
  bytes: number;
}

export interface CheckpointInfo {
  id: string;
  files: CheckpointFile[];
}

/** Files that make a checkpoint loadable; nothing else can be uploaded. */
export const UPLOADED_FILE =
  /^(adapter_config|config|generation_config|tokenizer|tokenizer_config|special_tokens_map|training_state)\.json$|^chat_template\.jinja$|^(adapter_model|model|value_head|optimizer)[\w.-]{0,60}\.safetensors$|^model\.safetensors\.index\.json$|^onnx\/[\w-]{1,60}\.onnx(_data(_\d{1,3})?)?$/;

/** Uploads that are kept at a time: a client that never deletes must not fill the disk. */
export const UPLOADS_KEPT = { count: 256, bytes: 256 * 2 ** 30 };

export class Checkpoints {
  constructor(readonly root: string, readonly kept = UPLOADS_KEPT) {}

  /** Folder of the checkpoint `id`, or null. */
  folder(id: string): string | null {
    const path = join(this.root, id);
    return CHECKPOINT_ID.test(id) && existsSync(path) ? path : null;
  }

  /** Folders of all checkpoints. */
  folders(): string[] {
    if (!existsSync(this.root)) return [];
    return readdirSync(this.root).flatMap((id) => this.folder(id) ?? []);
  }

  /** The id of the checkpoint in a folder of this root; undefined for any other folder. */
  idOf(folder: string): string | undefined {
    return resolve(dirname(folder)) === resolve(this.root) ? basename(folder) : undefined;
  }

  /** Throws where an upload's files are not those that its id is the hash of. */
  async verify(id: string): Promise<void> {
    if (!UPLOAD_ID.test(id)) return;
    const found = await uploadId(this.#find(id), this.describe(id).files.map(({ name }) => name));
    if (found === id) return;
    throw new CollmError(
      "invalid_request",
      `Cannot use checkpoint '${id}': its files have the id '${found}'`,
    );
  }

  /** Its files; throws not_found. */
  describe(id: string): CheckpointInfo {
    return { id, files: filesIn(this.#find(id)) };
  }

  /**
   * Saves a policy with its optimizer state, or an adapter merged into its base without; the same
   * files again are the same checkpoint. `version` is asked once the policy is written.
   */
  async save(
    node: Pick<GpuNode, "save">,
    policy: string,
    version: () => string,
    form: SaveOptions["form"] = "adapter",
    waiting?: WaitOptions,
  ): Promise<CheckpointInfo & { created: boolean }> {
    const writing = join(this.root, `.saving-${crypto.randomUUID()}`);
    const merged = form === "merged";
    try {
      await node.save(policy, writing, merged ? { form } : { state: true }, waiting);
      const saved = version();
      if (!isVersion(saved)) {
        const why = `its version is '${saved}', which is none`;
        throw new CollmError("internal", `Cannot save policy '${policy}': ${why}`);
      }
      const id = await this.#nameFor(`${policy}-${saved}${merged ? "-merged" : ""}`, writing);
      const created = this.folder(id) === null;
      if (created) renameSync(writing, join(this.root, id));
      return { ...this.describe(id), created };
    } finally {
      rmSync(writing, { recursive: true, force: true });
    }
  }

  /**
   * `id`, unless that is a checkpoint of other files: tokenizer and moments, say, are no part of a
   * version. Then a hash of the files follows it.
   */
  async #nameFor(id: string, writing: string): Promise<string> {
    const known = this.folder(id);
    if (known === null) return id;
    const [hash, its] = await Promise.all(
      [writing, known].map(async (folder) =>
        await uploadId(folder, filesIn(folder).map(({ name }) => name))
      ),
    );
    return hash === its ? id : `${id}-${hash!.slice("upload.".length, -16)}`;
  }

  /** Path of one file; throws not_found. */
  file(id: string, name: string): string {
    if (this.describe(id).files.some((file) => file.name === name)) {
      return join(this.#find(id), name);
    }
    throw new CollmError("not_found", `Cannot find file '${name}' of checkpoint '${id}'`);
  }

  /** Takes one file of an uploaded checkpoint, whole or not at all. */
  async upload(id: string, name: string, body: ReadableStream<Uint8Array> | null): Promise<void> {
    if (!UPLOAD_ID.test(id) || !UPLOADED_FILE.test(name)) {
      throw new CollmError("invalid_request", `Cannot upload '${name}' as part of '${id}'`);
    }
    const room = Math.min(UPLOAD_LIMIT, this.#room(id));
    const path = join(this.root, id, name);
    const partial = join(dirname(path), `.${crypto.randomUUID()}.tmp`);
    try {
      mkdirSync(dirname(path), { recursive: true });
      const file = await Deno.open(partial, { write: true, createNew: true });
      await (body ?? new Blob([]).stream()).pipeThrough(limited(room, name))
        .pipeTo(file.writable);
      renameSync(partial, path);
    } catch (cause) {
      throw cause instanceof CollmError ? cause : fileError("write", `${id}/${name}`, cause);
    } finally {
      rmSync(partial, { force: true });
    }
  }

  remove(id: string): void {
    rmSync(this.#find(id), { recursive: true });
  }

  /** Bytes that uploads may still bring; throws when another one is one too many. */
  #room(id: string): number {
    const uploads = this.folders().map((folder) => basename(folder))
      .filter((known) => UPLOAD_ID.test(known));
    const { count, bytes } = this.kept;
    if (!uploads.includes(id) && uploads.length >= count) {
      throw new CollmError(
        "conflict",
        `Cannot upload '${id}': ${uploads.length} uploads are kept, delete one that is not needed`,
      );
    }
    const files = uploads.flatMap((known) => this.describe(known).files);
    return bytes - files.reduce((sum, file) => sum + file.bytes, 0);
  }

  #find(id: string): string {
    const folder = this.folder(id);
    if (folder !== null) return folder;
    throw new CollmError("not_found", `Cannot find checkpoint '${id}'`);
  }
}

const filesIn = (folder: string): CheckpointFile[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && !e.name.startsWith("."))
    .map((e) => join(e.parentPath, e.name))
    .map((path) => ({
      name: relative(folder, path).split(sep).join("/"),
      bytes: statSync(path).size,
    }))
    .sort((a, b) => a.name < b.name ? -1 : 1);

function limited(most: number, name: string): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes <= most) controller.enqueue(chunk);
      else {
        const what = `Cannot upload '${name}': it exceeds the ${
          Math.max(0, most)
        } bytes that are left`;
        controller.error(new CollmError("payload_too_large", what));
      }
    },
  });
}
