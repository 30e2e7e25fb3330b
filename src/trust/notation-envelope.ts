import { z } from "zod";
import { JsonError, parseJson } from "../oci/json.ts";
import { CborError, type CborMap, type CborValue, cborBytes, cborText, readCbor } from "./cbor.ts";
import { Refusal } from "./reason.ts";

/** The algorithms that Notation signs with, by the names that JWS gives them. */
export type NotationAlgorithm = "ES256" | "ES384" | "ES512" | "PS256" | "PS384" | "PS512";

/** A Notation signature, whichever of the two envelopes it came in. */
export interface NotationEnvelope {
  readonly algorithm: NotationAlgorithm;
  /** What the signature is over. */
  readonly signedBytes: Buffer;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** Certificates in DER, the signer's first. */
  readonly chain: readonly Buffer[];
  /** An RFC 3161 token in DER. */
  readonly timestamp: Buffer | undefined;
  /** The signed attributes besides the algorithm: texts, and times in milliseconds since the epoch. */
  readonly attributes: ReadonlyMap<string, string | number>;
  /** Names of attributes that must be understood. */
  readonly critical: readonly string[];
}

/** The name that the type of the payload has among the attributes, in either envelope. */
export const CONTENT_TYPE = "cty";
const TIMESTAMP = "io.cncf.notary.timestampSignature";
const TIMES: ReadonlySet<string> = new Set(["io.cncf.notary.signingTime", "io.cncf.notary.authenticSigningTime", "io.cncf.notary.expiry"]);
const MAX_CERTIFICATES = 8;

const base64Url = z.base64url().min(1);
const jwsSchema = z.strictObject({
  payload: base64Url,
  protected: base64Url,
  signature: base64Url,
  header: z.looseObject({ x5c: z.array(z.base64()).min(1).max(MAX_CERTIFICATES), [TIMESTAMP]: z.base64().optional() }),
});
const algorithmSchema = z.enum(["ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]);
const jwsHeaderSchema = z.record(z.string(), z.unknown()).and(z.looseObject({ alg: algorithmSchema, crit: z.array(z.string()).min(1) }));

/** Is this JSON a flattened JSON Web Signature, whatever it is wrong in? */
export function isJws(value: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(value, "protected") && Object.hasOwn(value, "signature");
}

/** Reads a Notation signature in a JSON Web Signature; throws a `Refusal`. */
export function readJws(value: Readonly<Record<string, unknown>>): NotationEnvelope {
  const jws = checked(jwsSchema, value);
  const { alg, crit, ...rest } = checked(jwsHeaderSchema, parse(Buffer.from(jws.protected, "base64url")));
  const token = jws.header[TIMESTAMP];
  return {
    algorithm: alg,
    signedBytes: Buffer.from(`${jws.protected}.${jws.payload}`),
    payload: Buffer.from(jws.payload, "base64url"),
    signature: Buffer.from(jws.signature, "base64url"),
    chain: jws.header.x5c.map((der) => Buffer.from(der, "base64")),
    timestamp: token === undefined ? undefined : Buffer.from(token, "base64"),
    attributes: new Map(Object.entries(rest).map(([name, text]) => [name, jwsAttribute(name, text)])),
    critical: crit,
  };
}

function jwsAttribute(name: string, text: unknown): string | number {
  if (typeof text !== "string") throw new Refusal("malformed-notation");
  if (!TIMES.has(name)) return text;
  const time = z.iso.datetime({ offset: true }).safeParse(text);
  if (!time.success) throw new Refusal("malformed-notation");
  return Date.parse(text);
}

function parse(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("malformed-notation");
    throw error;
  }
}

function checked<Output>(schema: z.ZodType<Output>, value: unknown): Output {
  const result = schema.safeParse(value);
  if (!result.success) throw new Refusal("malformed-notation");
  return result.data;
}

/** The tag of a signature with one signer (RFC 9052 §2), as the first byte. */
const SIGN1 = 0xd2;
const ALGORITHMS: ReadonlyMap<CborValue | undefined, NotationAlgorithm> = new Map([
  [-7, "ES256"],
  [-35, "ES384"],
  [-36, "ES512"],
  [-37, "PS256"],
  [-38, "PS384"],
  [-39, "PS512"],
]);
/** Labels of headers: algorithm, critical, content type, certificates (RFC 9052 §3.1, RFC 9360 §2), and the tag of a time. */
const ALG = 1;
const CRIT = 2;
const CONTENT = 3;
const X5CHAIN = 33;
const EPOCH_TIME = 1;

/** Are these bytes a CBOR signature with one signer, whatever they are wrong in? */
export function isCose(bytes: Buffer): boolean {
  return bytes[0] === SIGN1;
}

/** Reads a Notation signature in a COSE_Sign1; throws a `Refusal`. */
export function readCose(bytes: Buffer): NotationEnvelope {
  const [head, unprotected, payload, signature, ...rest] = listOf(decode(bytes.subarray(1)));
  if (!Buffer.isBuffer(head) || !Buffer.isBuffer(payload) || !Buffer.isBuffer(signature) || rest.length > 0)
    throw new Refusal("malformed-notation");
  const header = mapOf(decode(head));
  const algorithm = ALGORITHMS.get(header.get(ALG));
  if (algorithm === undefined) throw new Refusal("unsupported-key");
  const open = mapOf(unprotected);
  const timestamp = open.get(TIMESTAMP);
  if (timestamp !== undefined && !Buffer.isBuffer(timestamp)) throw new Refusal("malformed-notation");
  return {
    algorithm,
    signedBytes: Buffer.concat([
      Buffer.from([0x84]),
      cborText("Signature1"),
      cborBytes(head),
      cborBytes(Buffer.alloc(0)),
      cborBytes(payload),
    ]),
    payload,
    signature,
    chain: chainIn(open.get(X5CHAIN)),
    timestamp,
    attributes: new Map([...header].filter(([label]) => label !== ALG && label !== CRIT).map(coseAttribute)),
    critical: listOf(header.get(CRIT)).map(textOf),
  };
}

function coseAttribute([label, value]: readonly [number | string, CborValue]): [string, string | number] {
  const name = label === CONTENT ? CONTENT_TYPE : label;
  if (typeof name === "string" && typeof value === "string" && !TIMES.has(name)) return [name, value];
  if (typeof name === "string" && TIMES.has(name) && isTag(value) && value.tag === EPOCH_TIME && typeof value.value === "number") {
    return [name, value.value * 1_000];
  }
  throw new Refusal("malformed-notation");
}

function isTag(value: CborValue): value is { readonly tag: number; readonly value: CborValue } {
  return typeof value === "object" && value !== null && "tag" in value;
}

function chainIn(value: CborValue | undefined): readonly Buffer[] {
  const certificates = Buffer.isBuffer(value) ? [value] : listOf(value).filter((certificate) => Buffer.isBuffer(certificate));
  if (certificates.length === 0 || certificates.length > MAX_CERTIFICATES) throw new Refusal("malformed-notation");
  return certificates;
}

function textOf(value: CborValue): string {
  if (typeof value === "string") return value;
  throw new Refusal("malformed-notation");
}

function listOf(value: CborValue | undefined): readonly CborValue[] {
  if (isList(value)) return value;
  throw new Refusal("malformed-notation");
}

function isList(value: CborValue | undefined): value is readonly CborValue[] {
  return Array.isArray(value);
}

function mapOf(value: CborValue | undefined): CborMap {
  if (value instanceof Map) return value;
  throw new Refusal("malformed-notation");
}

function decode(bytes: Buffer): CborValue {
  try {
    return readCbor(bytes);
  } catch (error) {
    if (error instanceof CborError) throw new Refusal("malformed-notation");
    throw error;
  }
}
