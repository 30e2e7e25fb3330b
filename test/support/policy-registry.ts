import { z } from "zod";
import { decisionAnswer } from "../../src/api/decision.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type KeySigner, type PrivateSigstore, ISSUER, bundleManifest, keySigner, startPrivateSigstore } from "./private-sigstore.ts";
import { type TestRegistry, type TestRegistryOptions, startTestRegistry } from "./server.ts";
import { digestIn } from "./transitions.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
export const CI = "https://git.corp.example/ml/demo/.ci/release.yml@refs/heads/main";
export const SCAN = "https://example.org/modelscan/v1";
export const SIGNED_BY_CI = {
  type: "keyless",
  name: "release-ci",
  trustRoot: "corp",
  tlog: "ignore",
  identities: [{ issuer: { exact: ISSUER }, subject: { glob: "https://git.corp.example/ml/*/.ci/release.yml@refs/heads/main" } }],
};

export type Who = Parameters<TestRegistry["fetchAs"]>[0];

type Body = string | Uint8Array<ArrayBuffer>;

interface Answered {
  readonly status: number;
  readonly text: string;
  readonly json: unknown;
}

export interface Artifact {
  readonly repository: string;
  readonly ref: string;
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** A registry with a private Sigstore instance whose root it keeps as `corp-root`, and a security team with a key. */
export class PolicyRegistry {
  readonly registry: TestRegistry;
  readonly sigstore: PrivateSigstore;
  readonly security: KeySigner = keySigner();
  /** The digest of the private instance's root. */
  root = "";

  constructor(registry: TestRegistry, sigstore: PrivateSigstore) {
    this.registry = registry;
    this.sigstore = sigstore;
  }

  static async start(options: TestRegistryOptions = {}, sigstore?: PrivateSigstore): Promise<PolicyRegistry> {
    const world = new PolicyRegistry(await startTestRegistry(options), sigstore ?? (await startPrivateSigstore()));
    const { json } = await world.send("operator", "PUT /v1/trust-roots/corp-root", world.sigstore.root);
    world.root = z.object({ digest: z.string() }).parse(json).digest;
    return world;
  }

  async send(who: Who, what: string, body?: Body, type = "application/json"): Promise<Answered> {
    const [method = "", path = ""] = what.split(" ");
    const init = { method, headers: { "content-type": type }, ...(body !== undefined && { body }) };
    const answer = await this.registry.fetchAs(who, path, init);
    const text = await answer.text();
    const json: unknown = /json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined;
    return { status: answer.status, text, json };
  }

  /** Pushes an artifact of its own under `v1`. */
  async push(repository: string): Promise<Artifact> {
    const file = `weights of ${repository}`;
    for (const bytes of ["{}", file]) await this.pushBlob(repository, bytes);
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: IMAGE,
      artifactType: "application/vnd.test.model",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
      layers: [{ mediaType: "application/octet-stream", digest: digestOf(file), size: file.length }],
    });
    await this.pushManifest(repository, "v1", manifest);
    return { repository, ref: `${repository}:v1`, digest: digestOf(manifest), size: manifest.length, mediaType: IMAGE };
  }

  /** Attaches a bundle as a referrer; the referrer's digest. */
  async attach({ repository, digest, size, mediaType }: Artifact, bundle: string, more: Attached = {}): Promise<string> {
    const { who = "publisher", note = "" } = more;
    await this.pushBlob(repository, bundle, who);
    const manifest = bundleManifest({ digest, size, mediaType }, bundle, note);
    await this.pushManifest(repository, digestOf(manifest), manifest, who);
    return digestOf(manifest);
  }

  async pushManifest(repository: string, reference: string, manifest: Body, who: Who = "publisher"): Promise<void> {
    await this.#made(who, `PUT /v2/${repository}/manifests/${reference}`, manifest, IMAGE);
  }

  /** Pushes manifests of whatever kind by their digests. */
  async pushAll(repository: string, manifests: readonly object[]): Promise<void> {
    for (const manifest of manifests) {
      const { mediaType } = z.looseObject({ mediaType: z.string() }).parse(manifest);
      await this.#made("publisher", `PUT /v2/${repository}/manifests/${digestIn(manifest)}`, JSON.stringify(manifest), mediaType);
    }
  }

  async pushBlob(repository: string, bytes: Body, who: Who = "publisher"): Promise<void> {
    await this.#made(who, `POST /v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, bytes, "application/octet-stream");
  }

  /** An identity with one role on `models`, by its key. */
  async identity(name: string, role: string): Promise<`amr_${string}`> {
    const { json } = await this.send("operator", "POST /v1/credentials", JSON.stringify({ name, role, namespace: "models" }));
    return z.object({ key: z.templateLiteral(["amr_", z.string()]) }).parse(json).key;
  }

  /** Evaluates or promotes as operator. */
  async act(
    artifact: Artifact,
    action: "evaluate" | "promote",
    body: object = {},
  ): Promise<{ status: number; decision: z.infer<typeof decisionAnswer> }> {
    const { status, json } = await this.send("operator", `POST /v1/artifacts/${artifact.ref}/${action}`, JSON.stringify(body));
    const { decision } = z.looseObject({ decision: z.unknown().optional() }).parse(json);
    return { status, decision: decisionAnswer.parse(action === "evaluate" ? json : decision) };
  }

  async stateOf({ ref }: Artifact): Promise<string> {
    return z.looseObject({ state: z.string() }).parse((await this.send("operator", `GET /v1/artifacts/${ref}`)).json).state;
  }

  async putPolicy(policy: Policy): Promise<{ version: number; digest: string }> {
    const { status, json, text } = await this.send("operator", `PUT /v1/policies/${policy.metadata.name}`, JSON.stringify(policy));
    if (status !== 200) throw new Error(text);
    return z.looseObject({ version: z.number(), digest: z.string() }).parse(json);
  }

  /** A policy that asks for a signature by the release job, whose certificate the private instance issued. */
  signedPolicy(name: string, repositories: string): Policy {
    return policyOf(name, repositories, {
      trustRoots: { corp: { name: "corp-root", digest: this.root } },
      authorities: [SIGNED_BY_CI],
      require: [{ name: "publisher", anyOf: ["release-ci"], evidence: { kind: "signature" } }],
    });
  }

  /** A policy that asks for a clean scan by the security team. */
  scannedPolicy(name: string, repositories: string, more: object = {}): Policy {
    return policyOf(name, repositories, {
      authorities: [{ type: "key", name: "security-team", keys: [{ id: "sec-2026", pem: this.security.pem }] }],
      require: [
        {
          name: "scan",
          anyOf: ["security-team"],
          evidence: { kind: "attestation", predicateType: SCAN, where: [{ path: "/result", op: "eq", value: "clean" }] },
        },
      ],
      ...more,
    });
  }

  async #made(...asked: Parameters<PolicyRegistry["send"]>): Promise<void> {
    const { status, text } = await this.send(...asked);
    if (status !== 201) throw new Error(`${asked[1]}: ${text}`);
  }
}

interface Attached {
  readonly who?: Who;
  /** Makes another referrer of the same bundle. */
  readonly note?: string;
}

interface Policy {
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

export function policyOf(name: string, repositories: string, spec: object): Policy {
  const kind = { apiVersion: "trust.ai-model-registry.dev/v1", kind: "TrustPolicy" };
  return { ...kind, metadata: { name }, spec: { match: { repositories: [repositories] }, ...spec } };
}
