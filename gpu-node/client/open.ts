/** The GPU node at an address: `ws://` keeps one connection, `http://` makes one per call. */
import type { CallOptions } from "../../shared/wire/call.ts";
import type { GpuNode } from "../verbs.ts";
import { openHttpNode } from "./http.ts";
import { openSocketNode } from "./socket.ts";

export const NODE_PROTOCOLS = ["http", "https", "ws", "wss"];

export const openNode = (url: string, options: CallOptions = {}): GpuNode =>
  /^wss?:/.test(url) ? openSocketNode(url, options) : openHttpNode(url, options);
