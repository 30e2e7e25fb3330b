import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Caller, Services } from "./ports.ts";

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** More characters than anything that is sealed has. */
const MAX_LENGTH = 1024;

/** Seals bytes for a page of this session to carry, with chance in it: two texts that are alike, or differ, would tell something. */
export function sealedForSession(
  { random, secretFor }: Pick<Services, "random" | "secretFor">,
  caller: Caller,
  purpose: string,
  plain: Uint8Array,
): string {
  const iv = random(IV_BYTES);
  const cipher = createCipheriv(CIPHER, secretFor(purpose), iv).setAAD(sessionOf(caller));
  const sealed = [cipher.update(plain), cipher.final()];
  return Buffer.concat([iv, ...sealed, cipher.getAuthTag()]).toString("base64url");
}

/** The bytes in a text that this session was given for this purpose; undefined for any other text. */
export function openedForSession(
  { secretFor }: Pick<Services, "secretFor">,
  caller: Caller,
  purpose: string,
  text: string,
): Buffer | undefined {
  const bytes = Buffer.from(text.slice(0, MAX_LENGTH), "base64url");
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(CIPHER, secretFor(purpose), bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(sessionOf(caller)).setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    // It is not of ours, or of another session: the tag does not fit.
    return undefined;
  }
}

function sessionOf({ principal }: Caller): Buffer {
  return Buffer.from(principal.credential ?? "");
}
