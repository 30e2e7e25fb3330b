import { constants, sign } from "node:crypto";
import { ASN1Obj } from "@sigstore/core";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import * as x509 from "./certificates.ts";
import { HEX, MODEL } from "./evidence.ts";

const PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json";
export const SCHEME = "io.cncf.notary.signingScheme";
const TIME = "io.cncf.notary.signingTime";
export const EXPIRY = "io.cncf.notary.expiry";
const TOKEN = "io.cncf.notary.timestampSignature";

export const VALIDITY = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2100-01-01T00:00:00Z") };
/** A certificate that chains may end in, and signers below it. */
export const NOTARY_ROOT = x509.issue({ ...VALIDITY, subject: [[x509.CN, "notary root"]], extensions: x509.AUTHORITY });
export const holderOf = (form: Partial<x509.CertificateForm> = {}): x509.Issued =>
  x509.issue(
    {
      ...VALIDITY,
      subject: [
        [x509.CN, "release"],
        [x509.O, "Corp"],
      ],
      extensions: x509.SIGNER,
      ...form,
    },
    NOTARY_ROOT,
  );
export const holder = holderOf();

/** The algorithms by their two numbers in COSE and JWS. */
const ALGORITHMS: Readonly<Record<string, number>> = { ES256: -7, ES384: -35, ES512: -36, PS256: -37, PS384: -38, PS512: -39 };

/** What a signature of a test has otherwise than it should. */
export interface NotationWish {
  readonly by?: x509.Issued;
  readonly chain?: readonly x509.Issued[];
  readonly algorithm?: string;
  readonly target?: object;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly critical?: readonly string[];
  readonly timestamp?: (signature: Buffer) => Promise<Buffer>;
}
export const TARGET = { mediaType: OCI_IMAGE, digest: `sha256:${HEX}`, size: MODEL.bytes.length };
const ATTRIBUTES = { cty: PAYLOAD_TYPE, [SCHEME]: "notary.x509", [TIME]: "2026-03-01T00:00:00Z" };

function signed(algorithm: string, { key }: x509.Issued, bytes: Buffer): Buffer {
  const hash = `sha${algorithm.slice(2)}`;
  if (key.asymmetricKeyType === "ec") return sign(hash, bytes, { key, dsaEncoding: "ieee-p1363" });
  return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
}

/** A wish with all that it leaves open. */
function whole(wish: NotationWish): Required<Omit<NotationWish, "timestamp">> & Pick<NotationWish, "timestamp"> {
  const by = wish.by ?? holder;
  const attributes = { ...ATTRIBUTES, ...wish.attributes };
  return { chain: [by, NOTARY_ROOT], algorithm: "ES256", target: TARGET, critical: [SCHEME], ...wish, by, attributes };
}

/** A signature in a JSON Web Signature, as notation writes it. */
async function jws(wish: NotationWish = {}): Promise<Buffer> {
  const { by, chain, algorithm, target, attributes, critical, timestamp } = whole(wish);
  const head = Buffer.from(JSON.stringify({ alg: algorithm, crit: critical, ...attributes })).toString("base64url");
  const payload = Buffer.from(JSON.stringify({ targetArtifact: target })).toString("base64url");
  const signature = signed(algorithm, by, Buffer.from(`${head}.${payload}`));
  const token = timestamp === undefined ? {} : { [TOKEN]: (await timestamp(signature)).toString("base64") };
  const header = { x5c: chain.map(({ der }) => der.toString("base64")), ...token, "io.cncf.notary.signingAgent": "test" };
  return Buffer.from(JSON.stringify({ payload, protected: head, header, signature: signature.toString("base64url") }));
}

function coseAttribute(name: string, value: string): readonly [number | string, Item] {
  if (name === "cty") return [3, value];
  return [name, name === TIME || name === EXPIRY ? { tag: 1, value: Date.parse(value) / 1_000 } : value];
}

/** The same in CBOR. */
async function cose(wish: NotationWish = {}): Promise<Buffer> {
  const { by, chain, algorithm, target, attributes, critical, timestamp } = whole(wish);
  const rest = Object.entries(attributes).map(([name, value]) => coseAttribute(name, value));
  const head = cbor(new Map<number | string, Item>([[1, ALGORITHMS[algorithm] ?? 0], [2, critical], ...rest]));
  const payload = Buffer.from(JSON.stringify({ targetArtifact: target }));
  const signature = signed(algorithm, by, cbor(["Signature1", head, Buffer.alloc(0), payload]));
  const open = new Map<number | string, Item>([
    [33, chain.map(({ der }) => der)],
    ["io.cncf.notary.signingAgent", "test"],
  ]);
  if (timestamp !== undefined) open.set(TOKEN, await timestamp(signature));
  return cbor({ tag: 18, value: [head, open, payload, signature] });
}

export type Item =
  | number
  | string
  | Buffer
  | readonly Item[]
  | ReadonlyMap<number | string, Item>
  | { readonly tag: number; readonly value: Item };

export function cbor(item: Item): Buffer {
  if (typeof item === "number") return item < 0 ? headOf(1, -1 - item) : headOf(0, item);
  if (typeof item === "string") return Buffer.concat([headOf(3, Buffer.byteLength(item)), Buffer.from(item)]);
  if (Buffer.isBuffer(item)) return Buffer.concat([headOf(2, item.length), item]);
  if (item instanceof Map)
    return Buffer.concat([
      headOf(5, item.size),
      ...[...(item as ReadonlyMap<number | string, Item>)].flatMap(([key, value]) => [cbor(key), cbor(value)]),
    ]);
  if (Array.isArray(item)) return Buffer.concat([headOf(4, item.length), ...(item as readonly Item[]).map(cbor)]);
  const { tag, value } = item as { readonly tag: number; readonly value: Item };
  return Buffer.concat([headOf(6, tag), cbor(value)]);
}

function headOf(major: number, argument: number): Buffer {
  if (argument < 24) return Buffer.from([(major << 5) + argument]);
  if (argument < 256) return Buffer.from([(major << 5) + 24, argument]);
  const long = Buffer.alloc(5, (major << 5) + 26);
  long.writeUInt32BE(argument, 1);
  return long;
}

/** The token in a response. */
export const tokenIn = (response: Buffer): Buffer => ASN1Obj.parseBuffer(Buffer.from(response)).subs[1]?.toDER() ?? Buffer.alloc(0);

export const ENVELOPES = [
  ["a JSON Web Signature", "application/jose+json", jws],
  ["a CBOR signature", "application/cose", cose],
] as const;
