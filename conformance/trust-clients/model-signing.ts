import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as x509 from "../../test/trust/certificates.ts";
import { mustSucceed } from "../must.ts";
import { withOtherPayload } from "./bundles.ts";
import { ISSUER, type PrivateSigstore, identityToken } from "./private-sigstore.ts";
import { type KeyFiles, newKeyFiles } from "./key-files.ts";
import type { Program } from "./programs.ts";
import { verdictOf } from "./verdict.ts";
import { type Artifact, type World, newModel } from "./world.ts";

const REFUSAL = /Verification failed with error/;
const RELEASE = "https://git.corp.example/ml/demo/release";
const SUBJECT = [
  [x509.CN, "release"],
  [x509.O, "corp"],
] as const;

/** A way to sign a folder of files, and to verify that signature. */
interface Method {
  readonly name: string;
  readonly sign: readonly string[];
  readonly verify: readonly string[];
  /** The authority of a policy that takes such signatures. */
  readonly authority: object;
  readonly trustRoots?: Readonly<Record<string, object>>;
}

/**
 * Signs the files of a model by each method of OpenSSF Model Signing, with its reference implementation, and asks the registry and that
 * implementation what they think of the same signatures over the same files.
 */
export async function tryModelSigning(world: World, sigstore: PrivateSigstore): Promise<void> {
  const keys = await newKeyFiles(await world.scratch("oms-keys"));
  const others = await newKeyFiles(await world.scratch("oms-keys"));
  const methods = [
    keyMethod(keys),
    await certificateMethod(await world.scratch("oms-certificates")),
    await sigstoreMethod(world, sigstore),
  ];
  for (const method of methods) await new Trial(world, method, keyMethod(others)).all();
}

function keyMethod({ privateKey, publicKey, pem }: KeyFiles): Method {
  return {
    name: "key",
    sign: ["key", "--private_key", privateKey],
    verify: ["key", "--public_key", publicKey],
    authority: { type: "key", name: "signers", keys: [{ id: "release", pem }] },
  };
}

async function certificateMethod(folder: string): Promise<Method> {
  const validity = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2045-01-01T00:00:00Z") };
  const root = x509.issue({ ...validity, subject: [[x509.CN, "corp root"]], extensions: x509.AUTHORITY });
  const leaf = x509.issue({ ...validity, subject: SUBJECT, extensions: x509.SIGNER }, root);
  const [certificate, key, chain] = [join(folder, "leaf.pem"), join(folder, "leaf.key"), join(folder, "root.pem")];
  await writeFile(certificate, leaf.pem);
  await writeFile(chain, root.pem);
  await writeFile(key, leaf.key.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  return {
    name: "certificate",
    sign: ["certificate", "--private_key", key, "--signing_certificate", certificate, "--certificate_chain", chain],
    verify: ["certificate", "--certificate_chain", chain],
    authority: { type: "x509", name: "signers", roots: [root.pem], identities: [{ subject: { CN: "release", O: "corp" } }] },
  };
}

async function sigstoreMethod(world: World, { files }: PrivateSigstore): Promise<Method> {
  return {
    name: "sigstore",
    sign: ["sigstore", "--trust_config", files.trustConfig, "--identity_token", identityToken(RELEASE)],
    verify: ["sigstore", "--trust_config", files.trustConfig, "--identity", RELEASE, "--identity_provider", ISSUER],
    trustRoots: { corp: await world.trustRoot("corp-oms", files.trustedRoot) },
    authority: {
      type: "keyless",
      name: "signers",
      trustRoot: "corp",
      identities: [{ issuer: { exact: ISSUER }, subject: { exact: RELEASE } }],
    },
  };
}

/** All cases of one method. */
class Trial {
  readonly #world: World;
  readonly #program: Program;
  readonly #method: Method;
  readonly #other: Method;

  constructor(world: World, method: Method, other: Method) {
    this.#world = world;
    this.#program = world.programs.modelSigning;
    this.#method = method;
    this.#other = other;
  }

  async all(): Promise<void> {
    const signed = await this.#attached();
    await this.#asFile();
    await this.#refused(signed);
  }

  /** The signature as a referrer of the artifact; answers it. */
  async #attached(): Promise<Buffer> {
    const artifact = await this.#push("attached");
    await this.#row("nothing is signed", "refused: no evidence", () => this.#world.promote(artifact));
    const signature = await this.#sign(artifact.folder);
    await this.#world.attach(artifact, signature);
    await this.#row("signed, attached with oras", "trusted; model_signing: verifies", async () => {
      return `${await this.#world.promote(artifact)}; ${await this.#verdict(artifact.folder, signature)}`;
    });
    return signature;
  }

  /** The signature as a file of the model. */
  async #asFile(): Promise<void> {
    const files = newModel();
    const { folder } = await this.#push("unsigned", files);
    await writeFile(join(folder, "model.sig"), await this.#sign(folder));
    const names = [...Object.keys(files), "model.sig"];
    const artifact = await this.#pushFolder("own-file", folder, names);
    await this.#row("signed, as the file model.sig of the model", "trusted; model_signing: verifies", async () => {
      return `${await this.#world.promote(artifact)}; ${await this.#verdict(folder, await readFile(join(folder, "model.sig")))}`;
    });
  }

  async #refused(foreign: Buffer): Promise<void> {
    const both = async (artifact: Artifact, signature: Buffer): Promise<string> => {
      await this.#world.attach(artifact, signature);
      return `${await this.#world.promote(artifact)}; ${await this.#verdict(artifact.folder, signature)}`;
    };
    await this.#row("a signature of other files", "refused: file-differs; model_signing: refuses", async () =>
      both(await this.#push("foreign"), foreign),
    );
    await this.#row("a list of files that was changed", "refused: signature-invalid; model_signing: refuses", async () => {
      const artifact = await this.#push("changed");
      const signature = await this.#sign(artifact.folder);
      return both(
        artifact,
        withOtherPayload(signature, (list) => list.replace("card.md", "card.MD")),
      );
    });
    await this.#row("signed by somebody else, with a key", `refused: ${this.#strange()}; model_signing: refuses`, async () => {
      const artifact = await this.#push("stranger");
      return both(artifact, await this.#sign(artifact.folder, this.#other));
    });
    // What the list says has nothing to do with the method.
    if (this.#method.name !== "key") return;
    await this.#row("a file that was not signed", "refused: file-unsigned; model_signing: refuses", async () => {
      const { folder } = await this.#push("less");
      const signature = await this.#sign(folder);
      await writeFile(join(folder, "more.py"), "print()\n");
      return both(await this.#pushFolder("more", folder, [...Object.keys(newModel()), "more.py"]), signature);
    });
    await this.#row("a signed file is missing", "refused: file-missing; model_signing: refuses", async () => {
      const { folder } = await this.#push("whole");
      const signature = await this.#sign(folder);
      const artifact = await this.#push("part", { "weights.gguf": await readFile(join(folder, "weights.gguf")), "card.md": "# A model\n" });
      return both(artifact, signature);
    });
  }

  #strange(): string {
    return this.#method.name === "key" ? "signature-invalid" : "other-signer-type";
  }

  #row(what: string, expected: string, happen: () => Promise<string>): Promise<void> {
    return this.#world.report.row(this.#program, `method ${this.#method.name}: ${what}`, expected, happen);
  }

  /** Pushes a model to a repository of its own, whose policy asks for such a signature. */
  async #push(name: string, files = newModel()): Promise<Artifact> {
    await this.#policy(name);
    return this.#world.push(this.#repository(name), files);
  }

  async #pushFolder(name: string, folder: string, names: readonly string[]): Promise<Artifact> {
    await this.#policy(name);
    return this.#world.pushFolder(this.#repository(name), folder, names);
  }

  #repository(name: string): string {
    return `models/oms-${this.#method.name}-${name}`;
  }

  async #policy(name: string): Promise<void> {
    const { authority, trustRoots = {} } = this.#method;
    const require = [{ name: "files", anyOf: ["signers"], evidence: { kind: "oms" } }];
    await this.#world.policy(this.#repository(name), { authorities: [authority], require, trustRoots });
  }

  async #sign(folder: string, { sign: [method = "", ...options] } = this.#method): Promise<Buffer> {
    const file = join(await this.#world.scratch("signature"), "model.sig");
    mustSucceed(await this.#world.run(this.#program.file, ["sign", method, folder, "--signature", file, ...options]));
    return readFile(file);
  }

  /** What the reference implementation says; the signature is a file of the model, where it is left out. */
  async #verdict(folder: string, signature: Buffer): Promise<string> {
    const file = join(folder, "model.sig");
    await writeFile(file, signature);
    const [method = "", ...options] = this.#method.verify;
    const verified = await this.#world.run(this.#program.file, ["verify", method, folder, "--signature", file, ...options]);
    return `model_signing: ${verdictOf(verified, REFUSAL)}`;
  }
}
