import { withOtherPayload } from "./bundles.ts";
import type { Cosign } from "./cosign-client.ts";
import type { Artifact, Wanted } from "./world.ts";

/** How somebody signs with cosign and verifies, and which policy takes it. */
export interface Manner {
  /** In the words of the table. */
  readonly name: string;
  /** The component of repositories. */
  readonly slug: string;
  readonly sign: readonly string[];
  readonly verify: readonly string[];
  readonly wanted: Wanted;
}

/** Somebody whose signature must not count. */
export interface Stranger {
  readonly who: string;
  readonly sign: readonly string[];
  readonly code: string;
}

/** What a policy asks for: a signature by the authority `signers`. */
export const A_SIGNATURE = [{ name: "signed", anyOf: ["signers"], evidence: { kind: "signature" } }];

/** Signs artifacts in one manner, and asks the registry and cosign what they think of that and of what is wrong. */
export async function trySignatures(cosign: Cosign, manner: Manner, strangers: readonly Stranger[]): Promise<void> {
  const { world } = cosign;
  const row = (what: string, expected: string, happen: () => Promise<string>): Promise<void> =>
    world.report.row(cosign.program, `${manner.name}: ${what}`, expected, happen);
  const push = async (name: string): Promise<Artifact> => {
    const repository = `models/${manner.slug}-${name}`;
    await world.policy(repository, manner.wanted);
    return world.push(repository);
  };
  const both = async (artifact: Artifact): Promise<string> =>
    `${await world.promote(artifact)}; cosign: ${await cosign.verdict("verify", artifact, manner.verify)}`;

  const artifact = await push("signed");
  await row("nothing is signed", "refused: no evidence; cosign: refuses", () => both(artifact));
  await row("signed over HTTP", "trusted; cosign: verifies", async () => {
    await cosign.sign(artifact, manner.sign);
    return both(artifact);
  });
  const [bundle = Buffer.alloc(0)] = await world.bundlesOf(artifact);
  await row("a signature of another artifact", "refused: subject-mismatch; cosign: refuses", async () => {
    const other = await push("other");
    await world.attach(other, bundle);
    return both(other);
  });
  await row("the same artifact in another repository", "refused: no evidence; cosign: refuses", async () => {
    await world.policy(`models/${manner.slug}-again`, manner.wanted);
    return both(await world.copy(artifact, `models/${manner.slug}-again`));
  });
  await row("a statement that was changed", "refused: signature-invalid; cosign: refuses", async () => {
    const other = await push("changed");
    const digest = /[0-9a-f]{64}/;
    await world.attach(
      other,
      withOtherPayload(bundle, (payload) => payload.replace(digest, other.digest.replace("sha256:", ""))),
    );
    return both(other);
  });
  for (const [at, { who, sign, code }] of strangers.entries()) {
    await row(`signed by ${who}`, `refused: ${code}; cosign: refuses`, async () => {
      const other = await push(`stranger-${at}`);
      await cosign.sign(other, sign);
      return both(other);
    });
  }
}
