import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";

/** It was sealed with another passphrase, or changed. */
export class SealError extends Error {
  override readonly name = "SealError";
}

const MAGIC = Buffer.from("ai-model-registry sealed 1\n");
const CIPHER = "aes-256-gcm";
const [SALT, IV, TAG, KEY] = [16, 12, 16, 32];
/** Guesses cost 64 MiB and some tenths of a second each. */
const COST = { N: 2 ** 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 };

/** Encrypts bytes for whoever knows the passphrase, who also learns by it that nobody changed them. */
export async function seal(passphrase: string, plain: Uint8Array): Promise<Buffer> {
  const [salt, iv] = [randomBytes(SALT), randomBytes(IV)];
  const cipher = createCipheriv(CIPHER, await keyOf(passphrase, salt), iv).setAAD(MAGIC);
  const sealed = [cipher.update(plain), cipher.final()];
  return Buffer.concat([MAGIC, salt, iv, cipher.getAuthTag(), ...sealed]);
}

/** What `seal` was given; throws a `SealError` for another passphrase and for changed bytes. */
export async function unseal(passphrase: string, sealed: Uint8Array): Promise<Buffer> {
  const head = MAGIC.length + SALT + IV + TAG;
  if (sealed.length < head || !MAGIC.equals(sealed.subarray(0, MAGIC.length)))
    throw new SealError("these bytes were not sealed by a registry");
  const part = (start: number, length: number): Uint8Array => sealed.subarray(MAGIC.length + start, MAGIC.length + start + length);
  const decipher = createDecipheriv(CIPHER, await keyOf(passphrase, part(0, SALT)), part(SALT, IV), { authTagLength: TAG });
  decipher.setAAD(MAGIC).setAuthTag(part(SALT + IV, TAG));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(head)), decipher.final()]);
  } catch (error) {
    throw new SealError("the passphrase is another one, or the sealed bytes were changed", { cause: error });
  }
}

function keyOf(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, KEY, COST, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
