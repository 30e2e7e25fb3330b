import { createRequire } from "node:module";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { publicGood } from "../../src/cli/tuf-client.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { PUBLIC_GOOD_ROOT } from "../../src/trust/public-good-root.ts";
import { PolicyRegistry } from "../support/policy-registry.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { TufRepositoryOnLoopback } from "../support/tuf-repository.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: PolicyRegistry;
let tuf: TufRepositoryOnLoopback;
let folder: string;
let root: string;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  folder = await mkdtemp(join(tmpdir(), "securectl-trust-"));
  // So that nobody else's files are seen in it.
  vi.stubEnv("TMPDIR", folder);
  tuf = await TufRepositoryOnLoopback.start({ target: world.sigstore.root });
  root = join(folder, "root.json");
  await writeFile(root, tuf.root);
});
afterAll(async () => {
  await tuf.stop();
  await world.registry.stop();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

function securectl(...args: readonly string[]): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: world.registry.url, REGISTRY_DIR: world.registry.directory });
}

const update = (...more: readonly string[]): Promise<Ran> =>
  securectl("trust", "update", "corp", "--mirror", tuf.url, "--root", root, ...more);
const known = async (): Promise<string> => (await securectl("trust", "list", "--json")).out;

/** An update that has to fail, and whether it changed anything or left a file behind. */
async function refusal(asked: () => Promise<Ran> = update): Promise<object> {
  const before = await known();
  const { exit, err } = await asked();
  const left = (await readdir(tmpdir())).filter((name) => name.startsWith("securectl-tuf-"));
  return { exit, err, changed: (await known()) !== before, left };
}

function refused(exit: number, said: RegExp): object {
  return { exit, err: expect.stringMatching(said) as string, changed: false, left: [] };
}

test("trust update fetches a trusted root by TUF and has the registry keep it with its time", async () => {
  const began = Date.now();
  const rootDigest = digestOf(await readFile(root));
  const { exit, out } = await update("--root-digest", rootDigest, "--json");
  expect(exit).toBe(0);
  const view = JSON.parse(out) as { readonly tuf: { readonly updated_at: string; readonly expires_at: string } };
  expect(view).toMatchObject({
    name: "corp",
    digest: world.root,
    tuf: { root_digest: rootDigest, versions: { root: 1, timestamp: 1, snapshot: 1, targets: 1 } },
  });
  expect(Date.parse(view.tuf.updated_at)).toBeGreaterThanOrEqual(began - 1);
  // The timestamp role's metadata, which are the first to expire, hold for seven days.
  expect(Date.parse(view.tuf.expires_at) - began).toBeGreaterThan(6 * 86_400_000);
  expect(Date.parse(view.tuf.expires_at) - began).toBeLessThan(8 * 86_400_000);
  expect((await securectl("trust", "list")).out).toMatch(new RegExp(`^corp +${world.root} .* from ${rootDigest}$`, "m"));
  expect((await securectl("trust", "show", "corp", world.root)).out).toBe(world.sigstore.root);
});

test("trust update refuses a target that was tampered with", async () => {
  tuf.publish({ target: world.sigstore.root, version: 2 });
  tuf.tamper("trusted_root.json", world.sigstore.root.replace("ca.corp.example", "ca.evil.example"));
  expect(await refusal()).toEqual(refused(6, /cannot be trusted: .*(?:hash|length)/i));
});

test.each(["timestamp.json", "snapshot.json", "targets.json"])(
  "trust update refuses other signed metadata in the place of %s",
  async (name) => {
    tuf.publish({ target: world.sigstore.root, version: 2 });
    const other = await TufRepositoryOnLoopback.start({ target: "{}", version: 2 });
    try {
      const file = await fetch(`${other.url}/${name === "timestamp.json" ? name : `2.${name}`}`).then((answer) => answer.text());
      tuf.tamper(name, file);
      expect(await refusal()).toEqual(refused(6, /cannot be trusted: /));
    } finally {
      await other.stop();
    }
  },
);

test("trust update refuses metadata whose timestamp has expired", async () => {
  tuf.publish({ target: world.sigstore.root, version: 2, timestampDays: -1 });
  expect(await refusal()).toEqual(refused(6, /cannot be trusted: .*timestamp\.json is expired/));
});

test("trust update refuses a target that is no trusted root, and one that is missing", async () => {
  tuf.publish({ target: "{}", version: 2 });
  expect(await refusal()).toEqual(refused(1, /the trusted root is invalid/));
  tuf.publish({ target: world.sigstore.root, version: 2 });
  tuf.tamper("timestamp.json", "not JSON");
  expect(await refusal()).toEqual(refused(6, /cannot be trusted/));
});

test("trust update refuses a repository that is kept back at an earlier state", async () => {
  tuf.publish({ target: world.sigstore.root, version: 5 });
  expect((await update()).exit).toBe(0);
  tuf.publish({ target: world.sigstore.root, version: 4 });
  expect(await refusal()).toEqual(refused(7, /the mirror offers timestamp metadata of version 4, and the last update had 5/));
  tuf.publish({ target: world.sigstore.root, version: 6 });
  expect((await update()).exit).toBe(0);
});

test("trust update refuses other root metadata than were meant, and such as sign nothing there", async () => {
  expect(await refusal(() => update("--root-digest", digestOf("other")))).toEqual(refused(6, /the root metadata have the digest/));
  const other = await TufRepositoryOnLoopback.start({ target: "{}" });
  const file = join(folder, "other.json");
  await writeFile(file, other.root);
  await other.stop();
  expect(await refusal(() => securectl("trust", "update", "corp", "--mirror", tuf.url, "--root", file))).toEqual(
    refused(6, /cannot be trusted: /),
  );
});

test("trust update goes to a named mirror alone, and tells when it cannot be reached", async () => {
  expect(await refusal(() => securectl("trust", "update", "corp"))).toEqual(refused(2, /name a repository by --mirror and --root/));
  expect(await refusal(() => securectl("trust", "update", "corp", "--mirror", "http://tuf.corp.example", "--root", root))).toEqual(
    refused(2, /must be an https address/),
  );
  expect(await refusal(() => securectl("trust", "update", "corp", "--mirror", "https://a:b@tuf.corp.example", "--root", root))).toEqual(
    refused(2, /no user, password/),
  );
  const gone = await TufRepositoryOnLoopback.start({ target: "{}" });
  const { url } = gone;
  await gone.stop();
  expect(await refusal(() => securectl("trust", "update", "corp", "--mirror", url, "--root", root))).toEqual(
    refused(8, /cannot be read: /),
  );
  expect(await refusal(() => securectl("trust", "update", "corp", "--mirror", `${tuf.url}/nowhere`, "--root", root))).toEqual(
    refused(8, /cannot be read: /),
  );
});

test("the public-good instance is known by the root metadata, and the trusted root, that the client comes with", async () => {
  const { mirror, root: seed } = await publicGood();
  expect([mirror.href, digestOf(seed)]).toEqual([
    "https://tuf-repo-cdn.sigstore.dev/",
    "sha256:27aea7e372aa7864065174f0661784fcf8b0e28b1dbfebeada31a0f1fb19167f",
  ]);
  const seeds = createRequire(import.meta.url)("@sigstore/tuf/seeds.json") as Readonly<Record<string, { targets: Record<string, string> }>>;
  const shipped = Buffer.from(seeds["https://tuf-repo-cdn.sigstore.dev"]?.targets["trusted_root.json"] ?? "", "base64");
  expect(shipped.toString("utf8")).toBe(PUBLIC_GOOD_ROOT);
});

test("trust delete ends a name, unless a policy in force names it", async () => {
  await world.putPolicy(world.signedPolicy("names-it", "models/none"));
  const denied = await securectl("trust", "delete", "corp-root", "--yes");
  expect(denied).toMatchObject({ exit: 7, err: expect.stringMatching(/the policy names-it names the trust root corp-root/) as string });
  await securectl("policy", "delete", "names-it", "--yes");
  const ended = await securectl("trust", "delete", "corp-root", "--yes");
  expect(ended).toMatchObject({ exit: 0, out: `Ended: corp-root, ${world.root}\n` });
  expect((await securectl("trust", "delete", "corp-root", "--yes")).exit).toBe(5);
  expect((await securectl("trust", "delete", "public-good", "--yes")).exit).toBe(7);
  expect((await securectl("trust", "show", "corp-root", world.root)).out).toBe(world.sigstore.root);
  expect((await securectl("trust", "show", "corp-root", digestOf("never"))).exit).toBe(5);
  expect((await securectl("trust", "delete", "corp-root", "--digest", "x")).exit).toBe(2);
});
