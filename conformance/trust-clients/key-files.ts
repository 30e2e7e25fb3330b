import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A key pair as files, the private key without a passphrase. */
export interface KeyFiles {
  readonly privateKey: string;
  readonly publicKey: string;
  /** The public key. */
  readonly pem: string;
}

/** Makes a pair of ECDSA P-256 keys in a folder. */
export async function newKeyFiles(folder: string): Promise<KeyFiles> {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [privateKey, publicKey] = [join(folder, "key.pem"), join(folder, "key.pub")];
  const pem = keys.publicKey.export({ format: "pem", type: "spki" });
  await writeFile(privateKey, keys.privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  await writeFile(publicKey, pem);
  return { privateKey, publicKey, pem };
}
