import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { must, mustSucceed } from "../must.ts";
import type { Person } from "../person.ts";
import { signedParts } from "./bundles.ts";
import { Cosign } from "./cosign-client.ts";
import type { Program } from "./programs.ts";
import { verdictOf } from "./verdict.ts";
import type { Artifact, Referrer, World } from "./world.ts";

const SUMMARY = "https://slsa.dev/verification_summary/v1";
const LIFECYCLE = "https://ai-model-registry.dev/attestations/lifecycle/v1";
const PREDICATE = "dev.sigstore.bundle.predicateType";
const [STATE, SEQUENCE] = ["dev.ai-model-registry.lifecycle.state", "dev.ai-model-registry.lifecycle.seq"];
const NOT_ACCEPTED = "Verification failure";
const DENIED = /denied|forbidden/i;

const signingKeys = z.object({ keys: z.array(z.object({ purpose: z.string(), pem: z.string() })) });

/** Has programs that know nothing of this registry look at what it signs, with its public key alone. */
export async function tryStatements(world: World): Promise<void> {
  const registryKey = join(await world.scratch("registry-key"), "registry.pub");
  const { keys } = signingKeys.parse(JSON.parse(mustSucceed(await world.operator.securectl(["signing-key", "list", "--json"]))));
  await writeFile(registryKey, keys.find(({ purpose }) => purpose === "attestation")?.pem ?? "");
  const artifact = await world.push("models/statements");
  await trySummaries(world, artifact, registryKey);
  await tryOneStatement(world, artifact, registryKey);
  await tryListings(world, artifact);
}

/** The flow that stock clients follow: the summary must say PASSED, and a revocation must show at once. */
async function trySummaries(world: World, artifact: Artifact, registryKey: string): Promise<void> {
  const cosign = new Cosign(world, world.programs.cosign);
  const passed = join(await world.scratch("policy"), "passed.cue");
  await writeFile(passed, 'predicate: verificationResult: "PASSED"\n');
  const withKey = (key: string): readonly string[] => ["--key", key, "--insecure-ignore-tlog", "--type", SUMMARY, "--policy", passed];
  const verdict = (as: Person): Promise<string> => cosign.verdict("verify-attestation", artifact, withKey(registryKey), as);
  const row = (what: string, expected: string, happen: () => Promise<string>): Promise<void> =>
    world.report.row(cosign.program, `verification summary: ${what}`, expected, happen);
  const { operator, runtime } = world;
  const ref = `${artifact.repository}@${artifact.digest}`;

  await row("an artifact that nobody promoted", "refuses", () => verdict(operator));
  await row("promoted, asked as a runtime", "trusted; verifies", async () => `${await world.promote(artifact)}; ${await verdict(runtime)}`);
  const stranger = await cosign.newKey();
  await row("promoted, with another key than the registry's", "refuses", () =>
    cosign.verdict("verify-attestation", artifact, withKey(stranger.publicKey), runtime),
  );
  await row("revoked, asked as an operator", "refuses", async () => {
    mustSucceed(await operator.securectl(["revoke", ref, "--reason", "withdrawn", "--yes"]));
    return verdict(operator);
  });
  await row("revoked, asked as a runtime", "refuses", async () => {
    const args = ["verify-attestation", "--allow-http-registry", ...withKey(registryKey), artifact.reference];
    return verdictOf(await world.run(cosign.program.file, args, { as: runtime }), new RegExp(`${DENIED.source}|validation errors`, "i"));
  });
  await row(
    "promoted again, asked as a runtime",
    "trusted; verifies",
    async () => `${await world.promote(artifact)}; ${await verdict(runtime)}`,
  );
  await row("why nobody asks with verify --key: a quarantined artifact", "verifies", async () => {
    const held = await world.push("models/statements-held");
    mustSucceed(await operator.securectl(["quarantine", `${held.repository}@${held.digest}`, "--reason", "to be looked at"]));
    return cosign.verdict("verify", held, ["--key", registryKey, "--insecure-ignore-tlog"], operator);
  });
}

/** One statement as a file, by cosign and by openssl. */
async function tryOneStatement(world: World, artifact: Artifact, registryKey: string): Promise<void> {
  const { cosign: program, openssl } = world.programs;
  const [first, last] = (await lifecycleOf(world, artifact)).flatMap((each, at, all) =>
    at === 0 || at === all.length - 1 ? [each.digest] : [],
  );
  const [acquired, trusted] = [await world.content(artifact, first ?? ""), await world.content(artifact, last ?? "")];
  const cosign = new Cosign(world, program);
  const options = ["--key", registryKey, "--insecure-ignore-tlog", "--type", LIFECYCLE];
  const hex = artifact.digest.replace("sha256:", "");
  await world.report.row(program, "verify-blob-attestation: a lifecycle statement", "verifies", () =>
    cosign.blobVerdict(trusted, hex, options),
  );
  await world.report.row(program, "verify-blob-attestation: it is about another artifact", "refuses", () =>
    cosign.blobVerdict(trusted, "0".repeat(64), options),
  );
  const checked = (signed: Uint8Array, signature: Uint8Array): Promise<string> => dgst(world, openssl, registryKey, { signed, signature });
  const [one, other] = [signedParts(trusted), signedParts(acquired)];
  await world.report.row(openssl, "dgst -verify: what a lifecycle statement signs", "verifies", () => checked(one.signed, one.signature));
  await world.report.row(openssl, "dgst -verify: with the signature of another one", "refuses", () => checked(one.signed, other.signature));
}

async function dgst(
  world: World,
  { file }: Program,
  publicKey: string,
  { signed, signature }: { readonly signed: Uint8Array; readonly signature: Uint8Array },
): Promise<string> {
  const signatureFile = join(await world.scratch("openssl"), "signature");
  await writeFile(signatureFile, signature);
  const ran = await world.run(file, ["dgst", "-sha256", "-verify", publicKey, "-signature", signatureFile], { input: signed });
  return verdictOf(ran, new RegExp(NOT_ACCEPTED));
}

/** What people are shown of an artifact's history. */
async function tryListings(world: World, artifact: Artifact): Promise<void> {
  const { oras, cosign } = world.programs;
  await world.report.row(oras, "discover: the states of an artifact, in order", "acquired, trusted, revoked, trusted", async () => {
    const listed = await lifecycleOf(world, artifact);
    return listed.map(({ annotations }) => annotations?.[STATE] ?? "").join(", ");
  });
  await world.report.row(cosign, "tree: statements by their type", "4 lifecycle, 2 summaries", async () => {
    const tree = await new Cosign(world, cosign).tree(artifact, world.runtime);
    const count = (type: string): number => tree.split("\n").filter((line) => line.includes(`${type} artifacts via OCI referrer`)).length;
    return `${count(LIFECYCLE)} lifecycle, ${count(SUMMARY)} summaries`;
  });
}

/** The chain of an artifact as `oras discover` shows it. */
async function lifecycleOf(world: World, artifact: Artifact): Promise<readonly Referrer[]> {
  const links = (await world.attached(artifact)).filter(({ annotations }) => annotations?.[PREDICATE] === LIFECYCLE);
  must(links.length > 1, `oras discover shows ${links.length} lifecycle statements`);
  return links.toSorted((one, other) => sequenceOf(one) - sequenceOf(other));
}

function sequenceOf({ annotations }: Referrer): number {
  return Number(annotations?.[SEQUENCE]);
}
