import { verify } from "node:crypto";
import { chmod, mkdtemp, readFile, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openKeyFiles } from "../../src/storage/key-files.ts";
import { SecretFileError } from "../../src/storage/secret-file.ts";
import { SigningError } from "../../src/storage/signing-keys.ts";

const BYTES = Buffer.from("what is to be signed");

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-keys-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (passphrase = "one passphrase"): ReturnType<typeof openKeyFiles> => openKeyFiles(folder, passphrase);

async function onlyFile(): Promise<string> {
  const [file = "", ...more] = await readdir(folder);
  expect(more).toEqual([]);
  return join(folder, file);
}

describe("a key file", () => {
  test("is encrypted, for its owner alone, and opened by its id in any process", async () => {
    const made = await open().make();
    const path = await onlyFile();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----[^-]+-----END ENCRYPTED PRIVATE KEY-----\n$/);
    const signer = await open().open(made.keyId);
    expect([signer?.keyId, signer?.publicPem]).toEqual([made.keyId, made.publicPem]);
    const signature = await signer?.sign(BYTES);
    expect(verify("sha256", BYTES, made.publicPem, signature ?? new Uint8Array())).toBe(true);
  });

  test("that is not there is no key", async () => {
    const made = await open().make();
    await open().destroy(made.keyId);
    expect(await open().open(made.keyId)).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  test("is of no use under another passphrase, and the error tells nothing of it", async () => {
    const made = await open().make();
    await expect(open("another passphrase").open(made.keyId)).rejects.toMatchObject({
      name: "SigningError",
      message: expect.not.stringMatching(/passphrase|openssl|ossl|decrypt error/i) as string,
    });
  });

  test.each([
    ["others can read", (path: string) => chmod(path, 0o644), SigningError],
    ["others can write", (path: string) => chmod(path, 0o602), SecretFileError],
    [
      "is a symbolic link",
      async (path: string) => {
        await rename(path, `${path}.moved`);
        await symlink(`${path}.moved`, path);
      },
      SecretFileError,
    ],
  ])("that %s is refused", async (_, spoil, kind) => {
    const made = await open().make();
    await spoil(await onlyFile());
    await expect(open().open(made.keyId)).rejects.toBeInstanceOf(kind);
  });

  test("that holds another key than its name says is refused", async () => {
    const keys = open();
    const one = await keys.make();
    const path = await onlyFile();
    await rename(path, `${path}.one`);
    const other = await keys.make();
    await rename(fileOf(other.keyId), path);
    await expect(open().open(one.keyId)).rejects.toThrow("holds another key");
  });
});

test("all keys but one are destroyed, and no file of another kind", async () => {
  const keys = open();
  const [one, kept] = [await keys.make(), await keys.make()];
  await keys.make();
  await rename(fileOf(one.keyId), join(folder, "operator"));
  await keys.destroyAllBut(kept.keyId);
  expect((await readdir(folder)).toSorted()).toEqual([fileOf(kept.keyId).slice(folder.length + 1), "operator"]);
});

function fileOf(keyId: string): string {
  const name = Buffer.from(keyId, "base64").toString("hex").slice(0, 32);
  return join(folder, `attestation-key-${name}.pem`);
}
