import { type KeyObject, verify } from "node:crypto";
import { z } from "zod";
import { type Digest, digestOf } from "../oci/digest.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { IN_TOTO, preAuthEncoding } from "./dsse.ts";

/** A layer of a manifest that may hold a statement: a bundle, or the payload alone of what nobody has signed yet. */
export interface HeldStatement {
  readonly manifest: Digest;
  /** What the manifest is attached to. */
  readonly subject: Digest | undefined;
  readonly form: "bundle" | "payload";
  readonly bytes: Uint8Array;
}

/** A statement that was taken out of its bundle. Nothing of it is believed yet. */
export interface OpenedStatement {
  readonly held: HeldStatement;
  /** Digest of the payload, by which the next link names it. */
  readonly digest: Digest;
  readonly predicateType: string;
  readonly statement: unknown;
  readonly payload: string;
  readonly signature: { readonly bytes: Uint8Array; readonly keyId: string } | undefined;
}

const MAX_DEPTH = 16;

const bundleSchema = z.object({
  verificationMaterial: z.object({ publicKey: z.object({ hint: z.string() }) }),
  dsseEnvelope: z.object({
    payload: z.string(),
    payloadType: z.literal(IN_TOTO),
    signatures: z.array(z.object({ sig: z.string() })).length(1),
  }),
});
const statementSchema = z.object({ _type: z.literal("https://in-toto.io/Statement/v1"), predicateType: z.string() });

/** Takes a statement out of its bundle; undefined for bytes that hold none, and for bundles of other forms than the registry writes. */
export function openStatement(held: HeldStatement): OpenedStatement | undefined {
  if (held.form === "payload") return opened(held, textOf(held.bytes), undefined);
  const { data } = bundleSchema.safeParse(jsonOf(held.bytes));
  if (data === undefined) return undefined;
  const [payload, signature] = [base64(data.dsseEnvelope.payload), base64(data.dsseEnvelope.signatures[0]?.sig ?? "")];
  if (payload === undefined || signature === undefined) return undefined;
  return opened(held, textOf(payload), { bytes: signature, keyId: data.verificationMaterial.publicKey.hint });
}

/** Did this key sign the statement (ECDSA on P-256 over SHA-256)? */
export function isSignedWith({ payload, signature }: OpenedStatement, key: KeyObject): boolean {
  return signature !== undefined && verify("sha256", preAuthEncoding(payload), key, signature.bytes);
}

function opened(held: HeldStatement, payload: string | undefined, signature: OpenedStatement["signature"]): OpenedStatement | undefined {
  const statement = payload === undefined ? undefined : jsonOf(payload);
  const { data } = statementSchema.safeParse(statement);
  if (payload === undefined || data === undefined) return undefined;
  return { held, digest: digestOf(payload), predicateType: data.predicateType, statement, payload, signature };
}

function jsonOf(text: string | Uint8Array): unknown {
  try {
    return parseJson(text, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

/** Only the one encoding that the registry writes. */
function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
