import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as x509 from "../../test/trust/certificates.ts";
import { mustSucceed } from "../must.ts";
import type { Program } from "./programs.ts";
import { verdictOf } from "./verdict.ts";
import type { Artifact, World } from "./world.ts";

const SIGNATURE = "application/vnd.cncf.notary.signature";
const VALIDITY = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2045-01-01T00:00:00Z") };
const REFUSAL = /signature verification failed/;
const FORMATS = { jws: "application/jose+json", cose: "application/cose" } as const;

/** A signer as notation knows one: a key with its chain, and the root that a trust store holds. */
interface Signer {
  readonly name: string;
  readonly root: string;
}

/** Signs with notation in both envelopes, and asks the registry and notation what they think of the same signatures. */
export async function tryNotation(world: World): Promise<void> {
  const config = await world.scratch("notation");
  const release = await newSigner(config, "release", {});
  const stranger = await newSigner(config, "stranger", {});
  const rsa = await newSigner(config, "release-rsa", { rsaBits: 3072 });
  await writeConfig(config, [release, stranger, rsa], [release, rsa]);
  await new Trial(world, config, { format: "jws", signer: release, stranger }).all();
  await new Trial(world, config, { format: "cose", signer: rsa, stranger }).all();
}

async function newSigner(config: string, name: string, { rsaBits }: { readonly rsaBits?: number }): Promise<Signer> {
  const size = rsaBits === undefined ? {} : { rsaBits };
  const root = x509.issue({ ...VALIDITY, ...size, subject: subjectOf(`${name} root`), extensions: x509.AUTHORITY });
  const leaf = x509.issue({ ...VALIDITY, ...size, subject: subjectOf(name), extensions: x509.SIGNER }, root);
  const folder = join(config, "notation", "localkeys");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.crt`), leaf.pem + root.pem);
  await writeFile(join(folder, `${name}.key`), leaf.key.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  return { name, root: root.pem };
}

/** notation asks for country, state and organization. */
function subjectOf(name: string): x509.CertificateForm["subject"] & object {
  return [
    ["2.5.4.6", "DE"],
    ["2.5.4.8", "Hessen"],
    [x509.O, "corp"],
    [x509.CN, name],
  ];
}

/** Keys of all signers, a trust store with the roots of some, and the policy that whatever they sign is trusted. */
async function writeConfig(config: string, signers: readonly Signer[], trusted: readonly Signer[]): Promise<void> {
  const folder = join(config, "notation");
  const store = join(folder, "truststore", "x509", "ca", "corp");
  await mkdir(store, { recursive: true });
  for (const { name, root } of trusted) await writeFile(join(store, `${name}.pem`), root);
  const keys = signers.map(({ name }) => ({
    name,
    keyPath: join(folder, "localkeys", `${name}.key`),
    certPath: join(folder, "localkeys", `${name}.crt`),
  }));
  await writeFile(join(folder, "signingkeys.json"), JSON.stringify({ default: "release", keys }));
  const trustPolicy = {
    name: "corp",
    registryScopes: ["*"],
    signatureVerification: { level: "strict", override: { revocation: "skip" } },
    trustStores: ["ca:corp"],
    trustedIdentities: ["x509.subject: C=DE, ST=Hessen, O=corp"],
  };
  await writeFile(join(folder, "trustpolicy.json"), JSON.stringify({ version: "1.0", trustPolicies: [trustPolicy] }), { mode: 0o600 });
}

interface Setting {
  readonly format: keyof typeof FORMATS;
  readonly signer: Signer;
  readonly stranger: Signer;
}

/** All cases in one envelope. */
class Trial {
  readonly #world: World;
  readonly #program: Program;
  readonly #config: string;
  readonly #setting: Setting;

  constructor(world: World, config: string, setting: Setting) {
    this.#world = world;
    this.#program = world.programs.notation;
    this.#config = config;
    this.#setting = setting;
  }

  async all(): Promise<void> {
    const { signer, stranger } = this.#setting;
    const artifact = await this.#push("signed");
    await this.#row("nothing is signed", "refused: no evidence; notation: refuses", () => this.#both(artifact));
    await this.#row("signed over HTTP", "trusted; notation: verifies", async () => {
      await this.#sign(artifact, signer);
      return this.#both(artifact);
    });
    const signature = await this.#signatureOf(artifact);
    await this.#row("a signature of another artifact", "refused: subject-mismatch; notation: refuses", async () => {
      const other = await this.#push("other");
      await this.#attach(other, signature);
      return this.#both(other);
    });
    await this.#row("signed by a key under another root", "refused: certificate-untrusted; notation: refuses", async () => {
      const other = await this.#push("stranger");
      await this.#sign(other, stranger);
      return this.#both(other);
    });
    await this.#row("a signature of which one bit was changed", "refused: signature-invalid; notation: refuses", async () => {
      const other = await this.#push("changed");
      await this.#sign(other, signer);
      const changed = withOtherSignature(await this.#signatureOf(other), this.#setting.format);
      const [attached] = await this.#world.attached(other);
      mustSucceed(
        await this.#world.publisher.oras(["manifest", "delete", "--force", `${other.reference.split("@")[0]}@${attached?.digest}`]),
      );
      await this.#attach(other, changed);
      return this.#both(other);
    });
  }

  async #push(name: string): Promise<Artifact> {
    const { format, signer } = this.#setting;
    const repository = `models/notation-${format}-${name}`;
    const identities = [{ subject: { O: "corp", C: "DE" } }];
    await this.#world.policy(repository, {
      authorities: [{ type: "x509", name: "signers", roots: [signer.root], identities }],
      require: [{ name: "signed", anyOf: ["signers"], evidence: { kind: "signature", formats: ["notation"] } }],
    });
    return this.#world.push(repository);
  }

  async #sign({ reference }: Artifact, { name }: Signer): Promise<void> {
    const { format } = this.#setting;
    mustSucceed(await this.#notation(["sign", "--insecure-registry", "--signature-format", format, "--key", name, reference]));
  }

  async #both(artifact: Artifact): Promise<string> {
    const promoted = await this.#world.promote(artifact);
    const verified = await this.#notation(["verify", "--insecure-registry", artifact.reference]);
    return `${promoted}; notation: ${verdictOf(verified, REFUSAL)}`;
  }

  async #signatureOf(artifact: Artifact): Promise<Buffer> {
    const attached = (await this.#world.attached(artifact)).find(({ artifactType }) => artifactType === SIGNATURE);
    return this.#world.content(artifact, attached?.digest ?? "");
  }

  /** As notation would attach it, whose clients look for the annotation. */
  async #attach({ reference }: Artifact, signature: Uint8Array): Promise<void> {
    const folder = await this.#world.scratch("attach");
    await writeFile(join(folder, "signature"), signature);
    const annotation = ["--annotation", `io.cncf.notary.x509chain.thumbprint#S256=[]`];
    const file = `signature:${FORMATS[this.#setting.format]}`;
    const args = ["attach", reference, "--artifact-type", SIGNATURE, ...annotation, file];
    mustSucceed(await this.#world.publisher.oras(args, { cwd: folder }));
  }

  #notation(args: readonly string[]): ReturnType<World["run"]> {
    return this.#world.run(this.#program.file, args, { env: { XDG_CONFIG_HOME: this.#config } });
  }

  #row(what: string, expected: string, happen: () => Promise<string>): Promise<void> {
    return this.#world.report.row(this.#program, `${this.#setting.format.toUpperCase()}: ${what}`, expected, happen);
  }
}

/** In both envelopes the signature stands at the end: of COSE as the last bytes, of JWS as a member of its own. */
function withOtherSignature(envelope: Buffer, format: keyof typeof FORMATS): Buffer {
  if (format === "cose") return Buffer.concat([envelope.subarray(0, -1), Buffer.from([(envelope.at(-1) ?? 0) ^ 1])]);
  return Buffer.from(
    envelope.toString("utf8").replace(/("signature":")(.)/, (_, key: string, first: string) => key + (first === "A" ? "B" : "A")),
  );
}
