import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mustSucceed } from "../must.ts";
import { Cosign } from "./cosign-client.ts";
import { ISSUER, type PrivateSigstore, identityToken } from "./private-sigstore.ts";
import type { Artifact, Wanted, World } from "./world.ts";

const SCAN = "https://example.org/modelscan/v1";
const RELEASE = "https://git.corp.example/ml/demo/release";
const SIGNATURE = { kind: "signature", formats: ["cosign-legacy"] };

/** Signs with cosign 2, which writes tags beside the artifact instead of referrers, with a key and without one. */
export async function tryCosignTags(world: World, sigstore: PrivateSigstore): Promise<void> {
  await tryKey(new Trial(world, new Cosign(world, world.programs.cosign2), "key"));
  await tryKeyless(new Trial(world, new Cosign(world, world.programs.cosign2, sigstore.files.parts), "keyless"), sigstore);
}

async function tryKey(trial: Trial): Promise<void> {
  const { world, cosign } = trial;
  const [key, other] = [await cosign.newKey(), await cosign.newKey()];
  // The log of the public instance, which cosign would write to.
  const signWith = ({ privateKey }: typeof key): readonly string[] => ["--key", privateKey, "--tlog-upload=false"];
  const verify = ["--key", key.publicKey, "--insecure-ignore-tlog"];
  const wanted = { authorities: [{ type: "key", name: "signers", keys: [{ id: "release", pem: key.pem }] }] };
  const push = (name: string, evidence: object = SIGNATURE): Promise<Artifact> => trial.push(name, wanted, evidence);

  const artifact = await push("signed");
  await trial.row("nothing is signed", "cosign 2: refuses; refused: no evidence", () => trial.both(artifact, verify));
  await trial.row("signed over HTTP", "cosign 2: verifies; trusted", async () => {
    await cosign.sign(artifact, signWith(key));
    return trial.both(artifact, verify);
  });
  await trial.row("a policy that takes bundles only", "cosign 2: verifies; refused: format-not-accepted", async () => {
    const strict = await push("strict", { kind: "signature" });
    await cosign.sign(strict, signWith(key));
    return trial.both(strict, verify);
  });
  await trial.row("a signature of another artifact", "cosign 2: refuses; refused: subject-mismatch", async () => {
    const foreign = await push("foreign");
    const tags = [artifact, foreign].map((of) => `${of.reference.split("@")[0]}:${of.digest.replace(":", "-")}.sig`);
    mustSucceed(await world.run(world.programs.oras.file, ["cp", "--from-plain-http", "--to-plain-http", ...tags]));
    return trial.both(foreign, verify);
  });
  await trial.row("signed by another key", "cosign 2: refuses; refused: signature-invalid", async () => {
    const stranger = await push("stranger");
    await cosign.sign(stranger, signWith(other));
    return trial.both(stranger, verify);
  });
  await trial.row("a statement, of a scan that found nothing", "cosign 2: verifies; trusted", async () => {
    const where = [{ path: "/result", op: "eq", value: "clean" }];
    const scanned = await push("scan", { kind: "attestation", predicateType: SCAN, formats: ["cosign-legacy"], where });
    await cosign.attest(scanned, signWith(key), SCAN, { result: "clean" });
    return trial.both(scanned, [...verify, "--type", SCAN], "verify-attestation");
  });
  await tryBesideStatements(trial, artifact, verify);
}

/** With bundles attached, such as the registry's own, cosign no longer looks at tags by itself. */
async function tryBesideStatements({ world, cosign }: Trial, artifact: Artifact, verify: readonly string[]): Promise<void> {
  const root = await emptyTrustedRoot(world);
  const newer = new Cosign(world, world.programs.cosign);
  const row = (of: Cosign, options: readonly string[], expected: string): Promise<void> =>
    world.report.row(of.program, `a tag beside the registry's statements: verify ${options[0]}`, expected, () =>
      of.verdict("verify", artifact, [...verify, ...options]),
    );
  await row(newer, ["--trusted-root", root], "refuses");
  await row(newer, ["--new-bundle-format=false"], "verifies");
  // It has no option that would keep it from looking at bundles.
  await row(cosign, ["--trusted-root", root], "refuses");
}

/** Keeps cosign from asking the public instance for its own. */
async function emptyTrustedRoot(world: World): Promise<string> {
  const file = join(await world.scratch("root"), "trusted_root.json");
  await writeFile(file, JSON.stringify({ mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" }));
  return file;
}

async function tryKeyless(trial: Trial, { url, files }: PrivateSigstore): Promise<void> {
  const { world, cosign } = trial;
  const signAs = async (subject: string): Promise<readonly string[]> => {
    const token = join(await world.scratch("token"), "token");
    await writeFile(token, identityToken(subject));
    return ["--fulcio-url", url, "--rekor-url", url, "--timestamp-server-url", `${url}/api/v1/timestamp`, "--identity-token", token];
  };
  const verify = ["--certificate-identity", RELEASE, "--certificate-oidc-issuer", ISSUER, "--trusted-root", files.trustedRoot];
  const identities = [{ issuer: { exact: ISSUER }, subject: { exact: RELEASE } }];
  const wanted = {
    trustRoots: { corp: await world.trustRoot("corp-cosign-tags", files.trustedRoot) },
    authorities: [{ type: "keyless", name: "signers", trustRoot: "corp", identities }],
  };
  const signed = async (name: string, subject: string): Promise<string> => {
    const artifact = await trial.push(name, wanted, SIGNATURE);
    await cosign.sign(artifact, await signAs(subject));
    return trial.both(artifact, verify);
  };
  await trial.row("signed by the identity", "cosign 2: verifies; trusted", () => signed("identity", RELEASE));
  await trial.row("signed by another identity", "cosign 2: refuses; refused: identity-mismatch", () =>
    signed("other-identity", `${RELEASE}s`),
  );
}

/** What the cases with a key and without one have in common. */
class Trial {
  readonly world: World;
  readonly cosign: Cosign;
  readonly #manner: string;

  constructor(world: World, cosign: Cosign, manner: string) {
    this.world = world;
    this.cosign = cosign;
    this.#manner = manner;
  }

  row(what: string, expected: string, happen: () => Promise<string>): Promise<void> {
    return this.world.report.row(this.cosign.program, `tag, ${this.#manner}: ${what}`, expected, happen);
  }

  async push(name: string, wanted: Omit<Wanted, "require">, evidence: object): Promise<Artifact> {
    const repository = `models/cosign-tags-${this.#manner}-${name}`;
    await this.world.policy(repository, { ...wanted, require: [{ name: "signed", anyOf: ["signers"], evidence }] });
    return this.world.push(repository);
  }

  /** cosign first, which afterwards would find the registry's own statements. */
  async both(artifact: Artifact, options: readonly string[], command = "verify"): Promise<string> {
    const verdict = await this.cosign.verdict(command, artifact, options);
    return `cosign 2: ${verdict}; ${await this.world.promote(artifact)}`;
  }
}
