import { expect, test, vi } from "vitest";
import { createSecret } from "../../src/identity/api-key.ts";
import { secretHmac } from "../../src/registry/find-credential.ts";
import { SecretHashes } from "../../src/registry/secret-hashes.ts";

const KEY = new Uint8Array(32).fill(7);
const secretOf = (byte: number): string => createSecret("api-key", (length) => new Uint8Array(length).fill(byte));

test("a secret of ours is hashed once while it is remembered, and one that was forgotten anew", () => {
  const secretFor = vi.fn<(purpose: string) => Uint8Array>(() => KEY);
  const hashes = new SecretHashes({ secretFor }, 2);
  const [one, other, third] = [secretOf(1), secretOf(2), secretOf(3)] as const;
  for (const secret of [one, other, one, other]) expect(hashes.of(secret)).toBe(secretHmac({ secretFor: () => KEY }, secret));
  expect(secretFor).toHaveBeenCalledTimes(2);
  hashes.of(third);
  hashes.of(one);
  expect(secretFor).toHaveBeenCalledTimes(4);
});

test.each(["hunter2", "", secretOf(1).slice(0, -1), `${secretOf(1).slice(0, -1)}!`])(
  "what is no secret of ours, %j, is not kept",
  (text) => {
    const secretFor = vi.fn<(purpose: string) => Uint8Array>(() => KEY);
    const hashes = new SecretHashes({ secretFor });
    expect(hashes.of(text)).toBe(hashes.of(text));
    expect(secretFor).toHaveBeenCalledTimes(2);
  },
);
