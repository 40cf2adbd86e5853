/**
 * Signed tokens: JSON that anyone can read and only holders of the secret can make
 * (HMAC-SHA-256, base64url). Leaves out what tokens say; nothing in one is secret.
 */
import { Buffer } from "node:buffer";
import { sameSecret } from "../shared/wire/bearer.ts";

export interface Signer {
  sign(payload: unknown): Promise<string>;
  /** What was signed; `undefined` for anything but an unchanged token of this purpose. */
  open(token: string): Promise<unknown>;
}

/** One signer per purpose: a token of one is worth nothing to another. */
export type Signers = Record<"state" | "agent", Signer>;

export async function createSigners(secret: string): Promise<Signers> {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signatureOf = async (text: string) => {
    const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text));
    return Buffer.from(signature).toString("base64url");
  };
  const signer = (purpose: string): Signer => ({
    async sign(payload) {
      const text = Buffer.from(JSON.stringify(payload)).toString("base64url");
      return `${text}.${await signatureOf(`${purpose}.${text}`)}`;
    },
    async open(token) {
      const [text, signature, ...rest] = token.split(".", 3);
      if (text === undefined || signature === undefined || rest.length > 0) return undefined;
      // Compared as text: decoding would forgive characters that are no base64.
      if (!sameSecret(signature, await signatureOf(`${purpose}.${text}`))) return undefined;
      return JSON.parse(Buffer.from(text, "base64url").toString());
    },
  });
  return { state: signer("state"), agent: signer("agent") };
}
