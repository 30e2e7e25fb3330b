import { type KeyObject, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** A self-signed certificate for 127.0.0.1 with its key, as PEM. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
}

/** Makes one for a common name, by the few pieces of DER (X.690) that X.509 needs; Node has no maker of certificates. */
export function selfSigned(commonName: string): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tbs = toBeSigned(commonName, publicKey);
  const signature = sign("sha256", tbs, privateKey);
  const cert = sequence(tbs, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
  const body = cert.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const ECDSA_WITH_SHA256 = sequence(oid("2a8648ce3d040302"));
const COMMON_NAME = oid("550403");
const SUBJECT_ALT_NAME = oid("551d11");

function toBeSigned(commonName: string, publicKey: KeyObject): Buffer {
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
  const time = (at: number): Buffer => der(0x18, Buffer.from(new Date(at).toISOString().replace(/[-:T]|\.\d+/g, "")));
  const validity = sequence(time(Date.now() - 86_400_000), time(Date.now() + 86_400_000));
  const addresses = sequence(der(0x87, Buffer.from([127, 0, 0, 1])));
  const extensions = der(0xa3, sequence(sequence(SUBJECT_ALT_NAME, der(0x04, addresses))));
  const serial = der(0x02, Buffer.from([1, ...randomBytes(15)]));
  const version3 = der(0xa0, der(0x02, Buffer.from([2])));
  const key = publicKey.export({ type: "spki", format: "der" });
  return sequence(version3, serial, ECDSA_WITH_SHA256, name, validity, name, key, extensions);
}
