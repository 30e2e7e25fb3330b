import { z } from "zod";
import { fingerprintOf, publicKeyFrom } from "../../src/trust/public-key.ts";
import { type Artifact, type PolicyRegistry, policyOf } from "./policy-registry.ts";
import { type KeySigner, statementOf } from "./private-sigstore.ts";

const revocationView = z.looseObject({
  statement: z.string(),
  bundle: z.unknown(),
  followed: z.object({ revoked: z.number(), quarantined: z.number(), kept: z.number() }).nullable(),
});
type RevocationView = z.infer<typeof revocationView>;

/** Publishers of a registry who sign by keys, are revoked and believed again. */
export class Publishers {
  readonly #world: PolicyRegistry;

  constructor(world: PolicyRegistry) {
    this.#world = world;
  }

  async revoked(): Promise<readonly RevocationView[]> {
    const { json } = await this.#world.send("runtime", "GET /v1/revoked-authorities");
    return z.object({ revoked_authorities: z.array(revocationView) }).parse(json).revoked_authorities;
  }

  async revoke(authority: object, more: object = {}): Promise<RevocationView> {
    const body = JSON.stringify({ authority, reason: "stolen", ...more });
    const { status, json, text } = await this.#world.send("operator", "POST /v1/revoked-authorities", body);
    if (status !== 200) throw new Error(text);
    return revocationView.parse(json);
  }

  lift(statement: string): ReturnType<PolicyRegistry["send"]> {
    return this.#world.send("operator", `DELETE /v1/revoked-authorities/${statement}`, JSON.stringify({ reason: "found" }));
  }

  /** Nobody is revoked after it. */
  async liftAll(): Promise<void> {
    for (const { statement } of await this.revoked()) await this.lift(statement);
  }

  /** A policy that asks for signatures by so many of some keys. */
  signedBy(name: string, signers: readonly KeySigner[], threshold = 1): Promise<unknown> {
    return this.#world.putPolicy(
      policyOf(name, `models/${name}`, {
        authorities: [{ type: "key", name: "team", keys: signers.map(({ pem }, at) => ({ id: `k${at}`, pem })) }],
        require: [{ name: "signed", anyOf: ["team"], threshold, evidence: { kind: "signature" } }],
      }),
    );
  }

  /** An artifact that each of them signed. */
  async pushed(name: string, ...signers: readonly KeySigner[]): Promise<Artifact> {
    const artifact = await this.#world.push(`models/${name}`);
    for (const [at, signer] of signers.entries())
      await this.#world.attach(artifact, signer.bundle(statementOf(artifact.digest)), { note: `${at}` });
    return artifact;
  }
}

/** A key as what is to be revoked. */
export function keyOf({ pem }: Pick<KeySigner, "pem">): { readonly type: "key"; readonly fingerprint: string } {
  const key = publicKeyFrom(pem);
  if (key === undefined) throw new Error("no key");
  return { type: "key", fingerprint: fingerprintOf(key) };
}
