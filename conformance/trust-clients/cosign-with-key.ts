import { withOtherPayload } from "./bundles.ts";
import { Cosign, type CosignKey } from "./cosign-client.ts";
import { A_SIGNATURE, type Manner, trySignatures } from "./cosign-signatures.ts";
import type { PrivateSigstore } from "./private-sigstore.ts";
import type { Artifact, World } from "./world.ts";

const SCAN = "https://example.org/modelscan/v1";

/** Signs with a key by cosign, signatures and statements, as bundles that are referrers. */
export async function tryCosignWithKey(world: World, { files }: PrivateSigstore): Promise<void> {
  const cosign = new Cosign(world, world.programs.cosign);
  // With neither a log nor timestamps, and without a look at the network for a root.
  const offline = ["--signing-config", files.noServices, "--trusted-root", files.trustedRoot];
  const signWith = ({ privateKey }: CosignKey): readonly string[] => ["--key", privateKey, ...offline];
  const [key, other] = [await cosign.newKey(), await cosign.newKey()];
  const manner: Manner = {
    name: "key",
    slug: "cosign-key",
    sign: signWith(key),
    verify: ["--key", key.publicKey, "--insecure-ignore-tlog"],
    wanted: { authorities: [{ type: "key", name: "signers", keys: [{ id: "release", pem: key.pem }] }], require: A_SIGNATURE },
  };
  await trySignatures(cosign, manner, [{ who: "another key", sign: signWith(other), code: "signature-invalid" }]);
  await tryStatements(cosign, manner);
}

/** A policy asks for a clean scan; cosign signs what the scanner says. */
async function tryStatements(cosign: Cosign, { sign, verify, wanted }: Manner): Promise<void> {
  const { world } = cosign;
  const where = [{ path: "/result", op: "eq", value: "clean" }];
  const evidence = { kind: "attestation", predicateType: SCAN, where };
  const row = (what: string, expected: string, happen: () => Promise<string>): Promise<void> =>
    world.report.row(cosign.program, `statement: ${what}`, expected, happen);
  const push = async (name: string): Promise<Artifact> => {
    await world.policy(`models/cosign-scan-${name}`, { ...wanted, require: [{ name: "scan", anyOf: ["signers"], evidence }] });
    return world.push(`models/cosign-scan-${name}`);
  };
  const attested = async (artifact: Artifact, result: string): Promise<void> => cosign.attest(artifact, sign, SCAN, { result });
  const both = async (artifact: Artifact): Promise<string> => {
    const verdict = await cosign.verdict("verify-attestation", artifact, [...verify, "--type", SCAN]);
    return `${await world.promote(artifact)}; cosign: ${verdict}`;
  };

  await row("a scan that found nothing", "trusted; cosign: verifies", async () => {
    const artifact = await push("clean");
    await attested(artifact, "clean");
    return both(artifact);
  });
  const dirty = await push("dirty");
  await row("a scan that found something", "refused: condition-not-met; cosign: verifies", async () => {
    await attested(dirty, "dirty");
    return both(dirty);
  });
  await row("the same, changed to say that it found nothing", "refused: condition-not-met, signature-invalid", async () => {
    const [bundle = Buffer.alloc(0)] = await world.bundlesOf(dirty);
    await world.attach(
      dirty,
      withOtherPayload(bundle, (payload) => payload.replace("dirty", "clean")),
    );
    return world.promote(dirty);
  });
  await row("a signature instead of a scan", "refused: other-kind", async () => {
    const artifact = await push("signature");
    await cosign.sign(artifact, sign);
    return world.promote(artifact);
  });
}
