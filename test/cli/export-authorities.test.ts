import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { layoutReport } from "../../src/api/layout-report.ts";
import { followAuthorities } from "../../src/jobs/follow-authorities.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
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
  const pem = (await listAttestationKeys(world.registry.services)).at(-1)?.pem ?? "";
  await writeFile(join(folder, "key.pem"), pem);
});
afterAll(async () => {
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});

function securectl(...args: readonly string[]): Promise<Ran> {
  const { directory, url } = world.registry;
  return runSecurectl(args, { HOME: directory, REGISTRY_URL: url, REGISTRY_DIR: directory });
}

function verify(place: string, ...more: readonly string[]): Promise<Ran> {
  return securectl("verify-layout", place, "--key", join(folder, "key.pem"), ...more);
}

test("an export tells whose evidence the promotion took, and who of them is believed no more", async () => {
  const [lost, other] = [keySigner(), keySigner()];
  await publishers.signedBy("enough", [lost, other]);
  const artifact = await publishers.pushed("enough", lost, other);
  await world.act(artifact, "promote");
  const { statement } = await publishers.revoke(keyOf(lost), { reason: "stolen" });

  // Nobody knows yet whether it stays trusted.
  expect(await world.send("operator", `GET /v1/artifacts/${artifact.ref}/snapshot`)).toMatchObject({ status: 503 });
  const untouched = await publishers.pushed("untouched");
  expect(await world.send("operator", `GET /v1/artifacts/${untouched.ref}/snapshot`)).toMatchObject({ status: 200 });
  await followAuthorities(world.registry.services);

  const place = join(folder, "enough.tar");
  expect(await securectl("export", artifact.ref, place)).toMatchObject({ exit: 0 });
  const { exit, out } = await verify(place, "--require", "trusted", "--json");
  const { signers, revoked_authorities: revoked } = layoutReport.parse(JSON.parse(out));
  expect(exit).toBe(0);
  expect(revoked).toMatchObject([{ statement, authority: keyOf(lost), from: null, reason: "stolen", revoked_by: "operator" }]);
  expect(new Map(signers.map(({ signer, revoked_by: by }) => ["fingerprint" in signer && signer.fingerprint, by]))).toEqual(
    new Map([
      [keyOf(lost).fingerprint, statement],
      [keyOf(other).fingerprint, null],
    ]),
  );
  expect((await verify(place)).out).toContain(`Believed no more: key ${keyOf(lost).fingerprint}, who signed for signed: ${statement}`);

  // Once it is lifted, the next export tells of nobody; the one from before stays true of its time.
  await publishers.lift(statement);
  const later = join(folder, "later.tar");
  expect(await securectl("export", artifact.ref, later)).toMatchObject({ exit: 0 });
  const lifted = layoutReport.parse(JSON.parse((await verify(later, "--json")).out));
  expect(lifted).toMatchObject({ accepted: true, revoked_authorities: [] });
  expect(lifted.signers.every(({ revoked_by: by }) => by === null)).toBe(true);
  expect((await verify(place)).exit).toBe(0);
});
