import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { followAuthorities } from "../../src/jobs/follow-authorities.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { PolicyRegistry } from "../support/policy-registry.ts";
import { keySigner } from "../support/private-sigstore.ts";
import { Publishers, keyOf } from "../support/publishers.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: PolicyRegistry;
let publishers: Publishers;
let folder: string;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  publishers = new Publishers(world);
  folder = await mkdtemp(join(tmpdir(), "securectl-authorities-"));
});
afterAll(async () => {
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => publishers.liftAll());

function run(...args: readonly string[]): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: world.registry.url, REGISTRY_DIR: world.registry.directory });
}

const trust = (...args: readonly string[]): Promise<Ran> => run("trust", ...args);
const revoke = (...args: readonly string[]): Promise<Ran> => trust("revoke-authority", ...args, "--reason", "stolen");

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function authorities(): Promise<readonly unknown[]> {
  return (await publishers.revoked()).map(({ authority, from }) => ({ authority, from }));
}

/** What a layout of an artifact says to somebody who has the registry's keys alone. */
async function provenOffline(ref: string): Promise<Ran> {
  const { keys } = JSON.parse((await run("signing-key", "list", "--json")).out) as { readonly keys: readonly { readonly pem: string }[] };
  const layout = join(folder, "layout");
  expect(await run("export", ref, layout)).toMatchObject({ exit: 0 });
  return run("verify-layout", layout, "--key", await file("keys.pem", keys.map(({ pem }) => pem).join("\n")));
}

test("trust revoke-authority takes a publisher's public key, trust revoked tells what became of what it signed, and lift-authority ends it", async () => {
  const signer = keySigner();
  await publishers.signedBy("cli", [signer]);
  const artifact = await publishers.pushed("cli", signer);
  await world.act(artifact, "promote");
  const { exit, out } = await revoke("--key", await file("publisher.pem", signer.pem));
  expect(exit).toBe(0);
  const [held] = await publishers.revoked();
  const statement = String(held?.statement);
  expect(out).toBe(`Revoked: key ${keyOf(signer).fingerprint}\nStatement: ${statement}\n`);
  expect((await trust("revoked")).out).toMatch(
    new RegExp(`^key ${keyOf(signer).fingerprint} +always +operator +under way +${statement} +stolen$`, "m"),
  );
  await followAuthorities(world.registry.services);
  expect(await world.stateOf(artifact)).toBe("revoked");
  expect((await trust("revoked")).out).toContain("1 revoked, 0 quarantined, 0 kept");
  expect(await provenOffline(artifact.ref)).toMatchObject({ exit: 0, out: expect.stringContaining("revoked") as string });
  const lifted = await trust("lift-authority", statement, "--reason", "found");
  expect(lifted).toMatchObject({ exit: 0, out: `Lifted: key ${keyOf(signer).fingerprint}\n` });
  expect(await publishers.revoked()).toEqual([]);
  expect(await trust("lift-authority", statement, "--reason", "found")).toMatchObject({ exit: 5 });
});

test("trust revoke-authority takes a key's digest, identities of an issuer, and holders of certificates, each from a time on", async () => {
  const fingerprint = digestOf("a key");
  const root = digestOf("a root");
  const issuer = "https://issuer.example";
  const from = "2026-03-01T00:00:00Z";
  for (const args of [
    ["--key", fingerprint],
    ["--issuer", issuer, "--subject", "https://git.example/ml/**", "--from", from],
    ["--root", root, "--subject", "CN=ci,O=Corp"],
    ["--any-root", "--subject", "CN=release,O=Corp"],
  ])
    expect(await revoke(...args)).toMatchObject({ exit: 0 });
  const known = await authorities();
  expect(known).toHaveLength(4);
  expect(known).toEqual(
    expect.arrayContaining([
      { authority: { type: "key", fingerprint }, from: null },
      {
        authority: { type: "identity", issuer: { exact: issuer }, subject: { glob: "https://git.example/ml/**" } },
        from: "2026-03-01T00:00:00.000Z",
      },
      { authority: { type: "certificate", root, subject: { exact: "CN=ci,O=Corp" } }, from: null },
      { authority: { type: "certificate", subject: { exact: "CN=release,O=Corp" } }, from: null },
    ]),
  );
  const { out } = await trust("revoked");
  expect(out).toMatch(/^https:\/\/git\.example\/ml\/\*\* of https:\/\/issuer\.example +2026-03-01/m);
  expect(out).toMatch(new RegExp(`^CN=ci,O=Corp below ${root} +always`, "m"));
  expect(out).toMatch(/^CN=release,O=Corp below any pinned certificate +always/m);
});

test("trust revoke-authority and lift-authority are refused, and change nothing, when it is not clear who is meant, from when, or why", async () => {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const key = ["--key", digestOf("a key")];
  const refused: readonly (readonly [readonly string[], string])[] = [
    [["--reason", "x"], "name a --key"],
    [["--issuer", "https://issuer.example", "--reason", "x"], "name a --key"],
    [["--subject", "ci", "--reason", "x"], "name a --key"],
    [[...key, "--subject", "ci", "--reason", "x"], "cannot be used with"],
    [["--issuer", "x", "--root", digestOf("r"), "--subject", "ci", "--reason", "x"], "cannot be used with"],
    [["--root", "sha256:1", "--subject", "ci", "--reason", "x"], "--root"],
    [["--key", await file("private.pem", privateKey), "--reason", "x"], "one public key in PEM"],
    [["--key", await file("none.pem", "no key"), "--reason", "x"], "one public key in PEM"],
    [[...key, "--from", "yesterday", "--reason", "x"], "a time in UTC"],
    [[...key, "--from", "2026-13-01T00:00:00Z", "--reason", "x"], "a time in UTC"],
    [key, "--reason is needed"],
  ];
  for (const [args, said] of refused) {
    const { exit, err } = await trust("revoke-authority", ...args);
    expect({ args, exit, said: err.includes(said) ? said : err }).toEqual({ args, exit: 2, said });
  }
  expect(await publishers.revoked()).toEqual([]);
  const { statement } = await publishers.revoke(keyOf(keySigner()));
  expect(await trust("lift-authority", statement)).toMatchObject({ exit: 2, err: expect.stringContaining("--reason is needed") as string });
  expect(await publishers.revoked()).toHaveLength(1);
});
