import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mustSucceed } from "../must.ts";
import { ISSUER, PrivateSigstore, identityToken } from "./private-sigstore.ts";
import { verdictOf } from "./verdict.ts";
import type { Artifact, World } from "./world.ts";

const RELEASE = "https://git.corp.example/ml/demo/release";
const PROVENANCE = "https://slsa.dev/provenance/v1";
const REFUSAL = /FAIL:/;
const PREDICATE = {
  buildDefinition: {
    buildType: "https://corp.example/training/v1",
    externalParameters: {},
    internalParameters: {},
    resolvedDependencies: [],
  },
  runDetails: { builder: { id: "https://corp.example/trainer", builderDependencies: [], version: {} }, metadata: {}, byproducts: [] },
};

/** What is signed: the manifest itself, or a statement about it; and what the policy asks for. */
const KINDS = {
  signature: { evidence: { kind: "signature" } },
  statement: { evidence: { kind: "attestation", predicateType: PROVENANCE } },
} as const;
type Kind = keyof typeof KINDS;

/** Signs manifests with sigstore-python, attaches the bundles with oras, and asks the registry and sigstore-python what they think of each. */
export async function trySigstorePython(world: World, sigstore: PrivateSigstore): Promise<void> {
  const elsewhere = await PrivateSigstore.start(await world.scratch("elsewhere"), world.programs.openssl.file);
  try {
    const trial = new Trial(world, sigstore, await world.trustRoot("corp-python", sigstore.files.trustedRoot));
    for (const kind of ["signature", "statement"] as const) {
      await trial.row(kind, "by the identity that is asked for", "trusted; sigstore-python: verifies", {});
      await trial.row(kind, "by another identity", "refused: identity-mismatch; sigstore-python: refuses", { subject: `${RELEASE}s` });
      // Its timestamps are looked at before its certificate.
      const untrusted = "refused: timestamp-invalid; sigstore-python: refuses";
      await trial.row(kind, "by an identity of another instance", untrusted, { of: elsewhere });
    }
    await trial.foreign();
  } finally {
    await elsewhere.dispose();
  }
}

interface Wish {
  readonly of?: PrivateSigstore;
  readonly subject?: string;
}

class Trial {
  readonly #world: World;
  readonly #sigstore: PrivateSigstore;
  readonly #root: object;

  constructor(world: World, sigstore: PrivateSigstore, root: object) {
    this.#world = world;
    this.#sigstore = sigstore;
    this.#root = root;
  }

  async row(kind: Kind, who: string, expected: string, wish: Wish): Promise<void> {
    await this.#world.report.row(this.#world.programs.sigstore, `${kind} ${who}`, expected, async () => {
      const artifact = await this.#push(kind);
      return this.#both(artifact, await this.#sign(artifact, kind, wish));
    });
  }

  /** A signature is over the manifest of one artifact. */
  async foreign(): Promise<void> {
    for (const [kind, code] of [
      ["signature", "signature-invalid"],
      ["statement", "subject-mismatch"],
    ] as const) {
      const expected = `refused: ${code}; sigstore-python: refuses`;
      await this.#world.report.row(this.#world.programs.sigstore, `${kind} of another artifact`, expected, async () => {
        const bundle = await this.#sign(await this.#push(kind), kind, {});
        return this.#both(await this.#push(kind), bundle);
      });
    }
  }

  #pushed = 0;

  async #push(kind: Kind): Promise<Artifact> {
    this.#pushed += 1;
    const repository = `models/sigstore-python-${this.#pushed}`;
    const identities = [{ issuer: { exact: ISSUER }, subject: { exact: RELEASE } }];
    await this.#world.policy(repository, {
      trustRoots: { corp: this.#root },
      authorities: [{ type: "keyless", name: "signers", trustRoot: "corp", identities }],
      require: [{ name: "signed", anyOf: ["signers"], ...KINDS[kind] }],
    });
    return this.#world.push(repository);
  }

  async #sign(artifact: Artifact, kind: Kind, { of = this.#sigstore, subject = RELEASE }: Wish): Promise<Buffer> {
    const folder = await this.#world.scratch("sigstore-python");
    const [bundle, predicate] = [join(folder, "bundle.json"), join(folder, "predicate.json")];
    await writeFile(predicate, JSON.stringify(PREDICATE));
    const what = kind === "signature" ? ["sign"] : ["attest", "--predicate", predicate, "--predicate-type", PROVENANCE];
    const options = ["--identity-token", identityToken(subject), "--bundle", bundle];
    const manifest = await this.#manifest(artifact);
    mustSucceed(await this.#run(["--trust-config", of.files.trustConfig, ...what, ...options, manifest]));
    return readFile(bundle);
  }

  async #both(artifact: Artifact, bundle: Buffer): Promise<string> {
    const file = join(await this.#world.scratch("bundle"), "bundle.json");
    await writeFile(file, bundle);
    await this.#world.attach(artifact, bundle);
    const identity = ["--cert-identity", RELEASE, "--cert-oidc-issuer", ISSUER];
    const about = ["verify", "identity", "--offline", "--bundle", file, ...identity, await this.#manifest(artifact)];
    const verified = await this.#run(["--trust-config", this.#sigstore.files.trustConfig, ...about]);
    return `${await this.#world.promote(artifact)}; sigstore-python: ${verdictOf(verified, REFUSAL)}`;
  }

  async #manifest({ reference }: Artifact): Promise<string> {
    const file = join(await this.#world.scratch("manifest"), "manifest.json");
    mustSucceed(await this.#world.publisher.oras(["manifest", "fetch", reference, "--output", file]));
    return file;
  }

  #run(args: readonly string[]): ReturnType<World["run"]> {
    return this.#world.run(this.#world.programs.sigstore.file, args);
  }
}
