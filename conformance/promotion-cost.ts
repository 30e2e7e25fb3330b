import type { Signer } from "@sigstore/sign";
import { z } from "zod";
import { type Digest, digestOf } from "../src/oci/digest.ts";
import { ISSUER, SigstoreInstance, WORKFLOW, dsseBundle, keySigner, statement } from "../test/trust/sigstore-instance.ts";
import { processorTime } from "./processor-time.ts";
import { type RunningRegistry, createNamespace } from "./registry-process.ts";

const NAMESPACE = "cost";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
const COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1";
const MOST_SIGNATURES = 10;
/** Well-formed bundles that somebody attaches whose key no policy knows. */
const MANY_STRANGERS = 300;
/** Promotions before the timing, so that the code is compiled by then. */
const WARM_UP = 10;

const decided = z.looseObject({
  decision: z.looseObject({
    policies: z.array(z.looseObject({ requirements: z.array(z.looseObject({ accepted: z.array(z.unknown()) })) })),
  }),
});

/** Who signs: nobody, holders of keys, or identities of a Sigstore instance. */
type Kind = "nobody" | "key" | "keyless";

/** Processor time of promotions, in milliseconds each, of all the registry's processes together; undefined where the system does not tell. */
export interface PromotionCost {
  readonly kind: Kind;
  readonly signatures: number;
  /** Bundles of strangers that are attached besides. */
  readonly beside: number;
  readonly promotions: number;
  /** Of artifacts whose signatures nobody looked at before. */
  readonly first: number | undefined;
  /** Of the same ones once more, whose verdicts are remembered. */
  readonly again: number | undefined;
}

type Row = Pick<PromotionCost, "kind" | "signatures" | "beside">;

const ROWS: readonly Row[] = [
  { kind: "nobody", signatures: 0, beside: 0 },
  { kind: "key", signatures: 1, beside: 0 },
  { kind: "key", signatures: MOST_SIGNATURES, beside: 0 },
  { kind: "keyless", signatures: 1, beside: 0 },
  { kind: "keyless", signatures: MOST_SIGNATURES, beside: 0 },
];
/** To attach what strangers do takes some seconds each. */
const CROWDED: readonly Row[] = [{ kind: "keyless", signatures: 1, beside: MANY_STRANGERS }];
const CROWDED_SHARE = 5;

/**
 * What promotions cost with signatures by keys, and by identities with a certificate, its entry in a certificate log, an entry in a
 * transparency log and a timestamp each. The registry should have one worker, as each worker remembers its own verdicts.
 */
export async function measurePromotions(registry: RunningRegistry, promotions: number): Promise<readonly PromotionCost[]> {
  const signing = await Signing.start(registry);
  const costs: PromotionCost[] = [];
  for (const row of ROWS) costs.push(await measureRow(registry, signing, row, { promotions, warmUp: WARM_UP }));
  const few = Math.floor(promotions / CROWDED_SHARE);
  if (few > 0) for (const row of CROWDED) costs.push(await measureRow(registry, signing, row, { promotions: few, warmUp: 1 }));
  return costs;
}

async function measureRow(
  registry: RunningRegistry,
  signing: Signing,
  row: Row,
  { promotions, warmUp }: { readonly promotions: number; readonly warmUp: number },
): Promise<PromotionCost> {
  const { signatures } = row;
  for (let at = 0; at < warmUp; at += 1) await signing.promote(await signing.push(row), signatures);
  const artifacts: string[] = [];
  for (let at = 0; at < promotions; at += 1) artifacts.push(await signing.push(row));
  const promoteAll = async (): Promise<number | undefined> => {
    const before = processorTime(registry.pid);
    for (const artifact of artifacts) await signing.promote(artifact, signatures);
    const after = processorTime(registry.pid);
    return before === undefined || after === undefined ? undefined : (after - before) / promotions;
  };
  return { ...row, promotions, first: await promoteAll(), again: await promoteAll() };
}

/** The figures as text, a line a row. */
export function promotionTable(costs: readonly PromotionCost[]): string {
  const rows = costs.map(
    ({ kind, signatures, beside, first, again }) =>
      `${kind.padEnd(10)}${String(signatures).padStart(10)}${String(beside).padStart(10)}${show(first)}${show(again)}`,
  );
  const titles = ["signatures", "beside", "cpu ms", "again"].map((title) => title.padStart(10));
  return [`${"signed by".padEnd(10)}${titles.join("")}`, ...rows, ""].join("\n");
}

function show(value: number | undefined): string {
  return (value === undefined ? "-" : value.toFixed(1)).padStart(10);
}

type Authorization = Readonly<Record<"operator" | "publisher", string>>;

/** A publisher who signs, and an operator who promotes. */
class Signing {
  readonly #registry: RunningRegistry;
  readonly #sigstore: SigstoreInstance;
  readonly #keys = Array.from({ length: MOST_SIGNATURES }, () => keySigner());
  readonly #stranger = keySigner();
  readonly #authorization: Authorization;
  #made = 0;

  private constructor(registry: RunningRegistry, sigstore: SigstoreInstance, authorization: Authorization) {
    this.#registry = registry;
    this.#sigstore = sigstore;
    this.#authorization = authorization;
  }

  static async start(registry: RunningRegistry): Promise<Signing> {
    await createNamespace(registry, NAMESPACE);
    const [operator, publisher] = [await registry.key("operator"), await registry.key("publisher")];
    const authorization = { operator: `Bearer ${operator}`, publisher: basic("publisher", publisher) };
    const signing = new Signing(registry, await SigstoreInstance.start(), authorization);
    await signing.#writePolicies();
    return signing;
  }

  /** Pushes an artifact with so many signatures, and so many by a stranger; answers the reference to it. */
  async push({ kind, signatures, beside }: Row): Promise<string> {
    const repository = `${NAMESPACE}/${kind}`;
    const weights = `weights ${(this.#made += 1)}`;
    for (const bytes of ["{}", weights]) await this.#pushBlob(repository, bytes);
    const layers = [{ mediaType: "application/octet-stream", digest: digestOf(weights), size: weights.length }];
    const artifact = { artifactType: "application/vnd.example.model", config: EMPTY, layers };
    const { digest, size } = await this.#pushManifest(repository, artifact);
    const subject = { mediaType: MANIFEST, digest, size };
    for (let at = 0; at < signatures; at += 1) await this.#attach(repository, subject, await this.#sign(kind, at, digest));
    for (let at = 0; at < beside; at += 1) await this.#attach(repository, subject, await dsseBundle(this.#stranger, signatureOf(digest)));
    return `${repository}@${digest}`;
  }

  async #attach(repository: string, subject: object, signed: object): Promise<void> {
    const bundle = JSON.stringify(signed);
    await this.#pushBlob(repository, bundle);
    const layer = { mediaType: BUNDLE, digest: digestOf(bundle), size: Buffer.byteLength(bundle) };
    await this.#pushManifest(repository, { artifactType: BUNDLE, config: EMPTY, layers: [layer], subject });
  }

  /** Promotes an artifact, and holds the decision to it that all its signatures count. */
  async promote(artifact: string, signatures: number): Promise<void> {
    const answer = await this.#ask("operator", "POST", `/v1/artifacts/${artifact}/promote`, { body: "{}", type: "application/json" });
    const { policies } = decided.parse(await answer.json()).decision;
    const accepted = policies
      .flatMap(({ requirements }) => requirements)
      .reduce((sum, requirement) => sum + requirement.accepted.length, 0);
    if (accepted !== signatures) throw new Error(`${accepted} of ${signatures} signatures count for ${artifact}`);
  }

  async #writePolicies(): Promise<void> {
    const root = await this.#ask("operator", "PUT", "/v1/trust-roots/cost-root", {
      body: JSON.stringify(this.#sigstore.document),
      type: "application/json",
    });
    const { digest } = z.looseObject({ digest: z.string() }).parse(await root.json());
    const keys = this.#keys.map(({ pem }, at) => ({ id: `key-${at}`, pem }));
    const identities = [{ issuer: { exact: ISSUER }, subject: { exact: WORKFLOW } }];
    const authorities = {
      key: { type: "key", name: "signers", keys },
      keyless: { type: "keyless", name: "signers", trustRoot: "corp", identities, tlog: 1, ctlog: 1, timestamps: 2 },
    };
    for (const [kind, authority] of Object.entries(authorities)) {
      const policy = {
        apiVersion: "trust.ai-model-registry.dev/v1",
        kind: "TrustPolicy",
        metadata: { name: `cost-${kind}` },
        spec: {
          match: { repositories: [`${NAMESPACE}/${kind}`] },
          trustRoots: { corp: { name: "cost-root", digest } },
          authorities: [authority],
          require: [{ name: "signed", anyOf: ["signers"], evidence: { kind: "signature" } }],
        },
      };
      await this.#ask("operator", "PUT", `/v1/policies/cost-${kind}`, { body: JSON.stringify(policy), type: "application/json" });
    }
  }

  async #sign(kind: Kind, at: number, artifact: Digest): Promise<object> {
    const said = signatureOf(artifact);
    if (kind === "keyless")
      return dsseBundle(await this.#sigstore.identitySigner(), said, [this.#sigstore.logged(), this.#sigstore.timestamped()]);
    const signer: Signer | undefined = this.#keys[at];
    if (signer === undefined) throw new Error(`there are only ${this.#keys.length} keys`);
    return dsseBundle(signer, said);
  }

  async #pushBlob(repository: string, bytes: string): Promise<void> {
    const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`;
    await this.#ask("publisher", "POST", path, { body: bytes, type: "application/octet-stream" });
  }

  async #pushManifest(repository: string, manifest: object): Promise<{ readonly digest: Digest; readonly size: number }> {
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, ...manifest });
    const digest = digestOf(body);
    await this.#ask("publisher", "PUT", `/v2/${repository}/manifests/${digest}`, { body, type: MANIFEST });
    return { digest, size: body.length };
  }

  async #ask(
    who: "operator" | "publisher",
    method: string,
    path: string,
    { body, type }: { readonly body: string; readonly type: string },
  ): Promise<Response> {
    const headers = { authorization: this.#authorization[who], "content-type": type };
    const answer = await fetch(`${this.#registry.url}${path}`, { method, headers, body });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}

/** What is signed of an artifact. */
function signatureOf(artifact: Digest): ReturnType<typeof statement> {
  return statement(artifact.replace("sha256:", ""), COSIGN_SIGN);
}

function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString("base64")}`;
}
