import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mustSucceed } from "../must.ts";
import type { Ran } from "../run-program.ts";
import type { Person } from "../person.ts";
import type { Program } from "./programs.ts";
import { verdictOf } from "./verdict.ts";
import type { Artifact, World } from "./world.ts";

const REFUSAL =
  /no matching signatures|no matching attestations|no signatures found|no valid bundles|validation errors occurred|failed to verify|invalid signature/i;

/** A key pair of cosign's own making, as files. */
export interface CosignKey {
  readonly privateKey: string;
  readonly publicKey: string;
  /** The public key. */
  readonly pem: string;
}

/** A cosign, run by the publisher, who is asked nothing. */
export class Cosign {
  readonly world: World;
  readonly program: Program;
  readonly #env: Readonly<Record<string, string>>;

  /** `env` is what it knows its Sigstore instance by, where it does not take a trusted root. */
  constructor(world: World, program: Program, env: Readonly<Record<string, string>> = {}) {
    this.world = world;
    this.program = program;
    this.#env = env;
  }

  async newKey(): Promise<CosignKey> {
    const folder = await this.world.scratch("cosign");
    mustSucceed(await this.#run(["generate-key-pair"], { cwd: folder }));
    const publicKey = join(folder, "cosign.pub");
    return { privateKey: join(folder, "cosign.key"), publicKey, pem: await readFile(publicKey, "utf8") };
  }

  async sign({ reference }: Artifact, options: readonly string[]): Promise<void> {
    mustSucceed(await this.#run(["sign", "--yes", "--allow-http-registry", ...options, reference]));
  }

  /** Signs a statement of a type with something to say. */
  async attest({ reference }: Artifact, options: readonly string[], type: string, predicate: object): Promise<void> {
    const file = join(await this.world.scratch("predicate"), "predicate.json");
    await writeFile(file, JSON.stringify(predicate));
    const what = ["--type", type, "--predicate", file];
    mustSucceed(await this.#run(["attest", "--yes", "--allow-http-registry", ...options, ...what, reference]));
  }

  /** What a command that verifies says of an artifact to somebody, by default the publisher. */
  async verdict(command: string, { reference }: Pick<Artifact, "reference">, options: readonly string[], as?: Person): Promise<string> {
    return verdictOf(await this.#run([command, "--allow-http-registry", ...options, reference], as === undefined ? {} : { as }), REFUSAL);
  }

  /** What `verify-blob-attestation` says of a bundle about a digest, in hex. */
  async blobVerdict(bundle: Uint8Array, hex: string, options: readonly string[]): Promise<string> {
    const file = join(await this.world.scratch("bundle"), "bundle.json");
    await writeFile(file, bundle);
    const about = ["--bundle", file, "--digest", hex, "--digestAlg", "sha256"];
    return verdictOf(await this.#run(["verify-blob-attestation", ...about, ...options]), REFUSAL);
  }

  async tree({ reference }: Artifact, as: Person): Promise<string> {
    return mustSucceed(await this.#run(["tree", "--allow-http-registry", reference], { as }));
  }

  #run(args: readonly string[], more: { readonly cwd?: string; readonly as?: Person } = {}): Promise<Ran> {
    return this.world.run(this.program.file, args, { env: { COSIGN_PASSWORD: "", ...this.#env }, ...more });
  }
}
