import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPair, sign } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { keyHint } from "../lifecycle/dsse.ts";
import { noneWhenMissing } from "./claim.ts";
import { readPrivateFile, writeSecretFile } from "./secret-file.ts";
import { type Signer, SigningError, type SigningKeys } from "./signing-keys.ts";
import { syncPath } from "./sync.ts";

const NAME = /^attestation-key-[0-9a-f]{32}\.pem$/;

const generate = promisify(generateKeyPair);

/** Keys that the registry makes, as encrypted PEM files (PKCS #8, AES-256) that only its user can read. */
export function openKeyFiles(folder: string, passphrase: string): SigningKeys {
  return new KeyFiles(folder, passphrase);
}

class KeyFiles implements SigningKeys {
  readonly given = undefined;
  readonly #folder: string;
  readonly #passphrase: string;
  /** By id, which names their bytes. */
  readonly #opened = new Map<string, Signer>();

  constructor(folder: string, passphrase: string) {
    this.#folder = folder;
    this.#passphrase = passphrase;
  }

  async open(keyId: string): Promise<Signer | undefined> {
    const known = this.#opened.get(keyId);
    if (known !== undefined) return known;
    const file = await readPrivateFile(this.#pathOf(keyId));
    if (file === undefined) return undefined;
    if (file.readableByOthers)
      throw new SigningError("others can read the file of the signing key: make it private with chmod 600, and rotate it");
    const signer = signerOf(this.#decrypted(file.text));
    if (signer.keyId !== keyId) throw new SigningError("the file of the signing key holds another key: restore it from a backup");
    this.#opened.set(keyId, signer);
    return signer;
  }

  async make(): Promise<Signer> {
    const { privateKey } = await generate("ec", { namedCurve: "P-256" });
    const signer = signerOf(privateKey);
    const pem = privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: this.#passphrase });
    await writeSecretFile(this.#pathOf(signer.keyId), pem.trimEnd());
    this.#opened.set(signer.keyId, signer);
    return signer;
  }

  async destroy(keyId: string): Promise<void> {
    this.#opened.delete(keyId);
    await this.#remove([nameOf(keyId)]);
  }

  async destroyAllBut(keyId: string): Promise<void> {
    const files = (await readdir(this.#folder).catch(noneWhenMissing)) ?? [];
    await this.#remove(files.filter((file) => NAME.test(file) && file !== nameOf(keyId)));
  }

  async #remove(files: readonly string[]): Promise<void> {
    for (const file of files) await rm(join(this.#folder, file), { force: true });
    if (files.length > 0) await syncPath(this.#folder);
  }

  #pathOf(keyId: string): string {
    return join(this.#folder, nameOf(keyId));
  }

  #decrypted(pem: string): KeyObject {
    try {
      return createPrivateKey({ key: pem, passphrase: this.#passphrase });
    } catch {
      // What OpenSSL says of it could be about the key.
      throw new SigningError("the file of the signing key cannot be decrypted: restore it, and what it is protected by, from a backup");
    }
  }
}

/** An id is base64, which no file name can be. */
function nameOf(keyId: string): string {
  return `attestation-key-${Buffer.from(keyId, "base64").toString("hex").slice(0, 32)}.pem`;
}

function signerOf(key: KeyObject): Signer {
  const publicKey = createPublicKey(key);
  return {
    keyId: keyHint(publicKey.export({ type: "spki", format: "der" })),
    algorithm: "PKIX_ECDSA_P256_SHA_256",
    publicPem: publicKey.export({ type: "spki", format: "pem" }),
    sign: async (bytes) => new Uint8Array(sign("sha256", bytes, key)),
  };
}
