/**
 * Signed tokens: JSON that anyone can read and only holders of the secret can make
 * (HMAC-SHA-256, base64url). Leaves out what tokens say; nothing in one is secret.
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { sameSecret } from "../shared/wire/bearer.ts";

export interface Signer {
  sign(payload: unknown): string;
  /** What was signed; `undefined` for anything but an unchanged token of this purpose. */
  open(token: string): unknown;
}

/** One signer per purpose: a token of one is worth nothing to another. */
export type Signers = Record<"state" | "agent", Signer>;

export function createSigners(secret: string): Signers {
  // At once: a key of Web Crypto costs every step two turns of the event loop.
  const signatureOf = (text: string) =>
    createHmac("sha256", secret).update(text).digest("base64url");
  const signer = (purpose: string): Signer => ({
    sign(payload) {
      const text = Buffer.from(JSON.stringify(payload)).toString("base64url");
      return `${text}.${signatureOf(`${purpose}.${text}`)}`;
    },
    open(token) {
      const [text, signature, ...rest] = token.split(".", 3);
      if (text === undefined || signature === undefined || rest.length > 0) return undefined;
      // Compared as text: decoding would forgive characters that are no base64.
      if (!sameSecret(signature, signatureOf(`${purpose}.${text}`))) return undefined;
      return JSON.parse(Buffer.from(text, "base64url").toString());
    },
  });
  return { state: signer("state"), agent: signer("agent") };
}
