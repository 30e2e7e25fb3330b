import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type PublicKeyView, publicKeyList, publicKeyView } from "../../src/api/keys.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import { type Ran, type RunOptions, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { verified } from "../support/signed-statements.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
  await signStatements(registry.services);
});
afterAll(() => registry.stop());

function securectl(args: readonly string[], options: RunOptions = {}, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return runSecurectl(args, { HOME: registry.directory, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env }, options);
}

async function attestationKeys(): Promise<readonly PublicKeyView[]> {
  const { exit, out } = await securectl(["signing-key", "list", "--json"]);
  expect(exit).toBe(0);
  return publicKeyList.parse(JSON.parse(out)).keys.filter(({ purpose }) => purpose === "attestation");
}

const known = (keys: readonly PublicKeyView[]): Parameters<typeof verified>[1] =>
  keys.map(({ id, pem }) => ({ id, pem, validFrom: 0, validUntil: null }));

test("signing-key list shows whoever asks what GET /v1/keys answers", async () => {
  const nobody = await securectl(["signing-key", "list"], {}, { REGISTRY_DIR: "/nonexistent" });
  const [key] = await attestationKeys();
  expect(nobody.exit).toBe(0);
  expect(nobody.out).toContain(key?.id);
  expect(nobody.out).toMatch(/attestation +PKIX_ECDSA_P256_SHA_256/);
});

test("signing-key rotate has a new key sign, which the old one names; the private keys are nowhere to be seen", async () => {
  const before = await attestationKeys();
  const { exit, out, err } = await securectl(["signing-key", "rotate", "--reason", "yearly", "--json"]);
  expect(exit).toBe(0);
  const made = publicKeyView.parse(JSON.parse(out));
  expect(out + err).not.toContain("PRIVATE");
  const after = await attestationKeys();
  expect(after.map(({ id }) => id)).toEqual([...before.map(({ id }) => id), made.id]);
  expect(after.map(({ valid_until: until }) => until === null)).toEqual([false, true]);
  const { statement, key } = verified(made.statement, known(before));
  expect(key.id).toBe(before[0]?.id);
  expect(statement.predicate).toMatchObject({ reason: "yearly", actor: "operator", key: { id: made.id } });
});

test("signing-key show prints the key that signs now in PEM and nothing else, or another one by its id", async () => {
  const [first, last] = [(await attestationKeys())[0], (await attestationKeys()).at(-1)];
  const nobody = { REGISTRY_DIR: "/nonexistent" };
  expect(await securectl(["signing-key", "show"], {}, nobody)).toEqual({ exit: 0, out: last?.pem, err: "" });
  expect(await securectl(["signing-key", "show", first?.id ?? ""], {}, nobody)).toEqual({ exit: 0, out: first?.pem, err: "" });
  expect((await securectl(["signing-key", "show", "another"], {}, nobody)).exit).toBe(5);
});

test("signing-key rotate asks on a terminal first", async () => {
  const before = await attestationKeys();
  const { exit, err } = await securectl(["signing-key", "rotate"], { typed: "no\n" });
  expect([exit, err]).toEqual([1, expect.stringContaining("Nothing was changed.") as string]);
  expect(await attestationKeys()).toEqual(before);
});

test("signing-key rotate is for who administers the registry", async () => {
  const { exit } = await securectl(["signing-key", "rotate"], {}, { SECURECTL_TOKEN: registry.credentials.publisher });
  expect(exit).toBe(4);
});
