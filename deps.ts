/**
 * The only file that names outside packages; every other file imports from here.
 * Light packages are re-exported. Packages that are large, native or used by one role only are
 * loaded on demand, so that the edge starts without a native library and a worker without a server.
 */
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

export { Hono } from "hono";
export type { Context, MiddlewareHandler } from "hono";
export { HTTPException } from "hono/http-exception";
export { upgradeWebSocket } from "hono/deno";
/** A server on node:http, and its way to WebSockets. */
export { serve as serveNode, upgradeWebSocket as upgradeNodeWebSocket } from "@hono/node-server";
export type { WebSocketServerLike } from "@hono/node-server";
export { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
export { bearerAuth } from "hono/bearer-auth";
export { bodyLimit } from "hono/body-limit";
export { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
export { and, asc, desc, eq, getTableColumns, gt, inArray, relations, sql } from "drizzle-orm";
export type { SQL } from "drizzle-orm";
export {
  index,
  integer,
  primaryKey,
  real,
  sqliteTable,
  text,
  unique,
  uniqueIndex,
} from "drizzle-orm/sqlite-core";
export type { SQLiteTable } from "drizzle-orm/sqlite-core";

/** ONNX Runtime: a native library, loaded by device workers only. */
export const loadOnnxRuntime = () => import("onnxruntime-node");
export type { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
/** Transformers.js: tokenizers, chat templates, hub loader, frozen models. */
export const loadTransformers = () => import("@huggingface/transformers");
/** Protocol buffers of the ONNX file format. */
export const loadOnnxProto = () => import("onnx-proto");
/** libSQL with its native binding (`file:` databases). */
export const loadLibsql = () => import("@libsql/client");
/** libSQL over fetch and WebSocket only: no FFI, no disk. */
export const loadLibsqlWeb = () => import("@libsql/client/web");
export type { Client as LibsqlClient, InStatement } from "@libsql/client";
/** drizzle on any libSQL client; the web entry, because the other one loads the native library. */
export const loadDrizzleLibsql = () => import("drizzle-orm/libsql/web");
export type { LibSQLDatabase } from "drizzle-orm/libsql/driver-core";
export type { BatchItem } from "drizzle-orm/batch";
/** WebSocket client for agent hosts (headers, ping, close codes), and a server on node:http. */
export const loadWebSocketClient = () => import("ws");
/** Metrics in Prometheus' text form. */
export const loadPrometheus = () => import("prom-client");
/** OpenAI's client (tests). */
export const loadOpenAi = () => import("openai");
/** Command-line parser. */
export const loadCommander = () => import("commander");
/** Plots: vega-lite specification to SVG. */
export const loadVega = () => import("vega");
export const loadVegaLite = () => import("vega-lite");
/** SVG to PNG. */
export const loadResvg = () => import("@resvg/resvg-js");
/** Files of data sets on the Hugging Face hub. */
export const loadHub = () => import("@huggingface/hub");
/** Parquet files, and their compressions beside Snappy. */
export const loadParquet = () => import("hyparquet");
export const loadParquetCompressors = () => import("hyparquet-compressors");
/** Writes parquet files (tests). */
export const loadParquetWriter = () => import("hyparquet-writer");
/** Property tests. */
export const loadFastCheck = () => import("fast-check");
/** File path of a DejaVu font (`DejaVuSans.ttf`), for text in pictures. */
export const fontFile = (name: string): string =>
  decodeURIComponent(new URL(import.meta.resolve(`dejavu-fonts-ttf/ttf/${name}`)).pathname);
/** File path of a part of Pyodide, CPython as WebAssembly; sandbox processes are fed with it. */
export const pyodideFile = (name: string): string =>
  decodeURIComponent(new URL(import.meta.resolve(`pyodide/${name}`)).pathname);
/** Linter of the Dockerfile (tests). */
export const loadDockerfileLint = () => import("dockerfilelint");
/** Driver of an installed Chromium (tests). */
export const loadPlaywright = () => import("playwright-core");
export type { Page } from "playwright-core";
/**
 * A CommonJS package that is installed separately, because it is large: from the `node_modules` of
 * a folder. Throws where it is not there.
 */
export const requireFrom = (folder: string, name: string): unknown =>
  createRequire(join(resolve(folder), "package.json"))(name);
