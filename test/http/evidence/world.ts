import { z } from "zod";
import type { decisionAnswer } from "../../../src/api/decision.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../../src/oci/media-types.ts";
import type { judge } from "../../../src/policy/written.ts";
import type { MetadataStore } from "../../../src/storage/metadata-store.ts";
import type { Reason } from "../../../src/trust/reason.ts";
import { type Artifact, PolicyRegistry, type Who, policyOf } from "../../support/policy-registry.ts";
import { startTestRegistry } from "../../support/server.ts";
import { type Layer, MODEL, manifestWith } from "../../trust/evidence.ts";
import { SigstoreInstance, type TrustedRootDocument, wholeSecond } from "../../trust/sigstore-instance.ts";

/** Why a decision says that evidence counts for nothing: what `trust/` finds, and what the requirement finds. */
export type Code = Reason | Extract<ReturnType<typeof judge>, { readonly code: string }>["code"];
type Decision = z.infer<typeof decisionAnswer>;

/** Sigstore instances that nobody else knows, all with one clock that stands on a whole second. */
export interface Instances {
  readonly corp: SigstoreInstance;
  /** Another log, that some trust roots know besides. */
  readonly other: SigstoreInstance;
  /** Its timestamp authority is an hour ahead, when certificates have ended. */
  readonly late: SigstoreInstance;
  /** Its timestamp authority counts tenths of seconds. */
  readonly tenths: SigstoreInstance;
  /** Its timestamp authority takes `tick` for the time. */
  readonly ticking: SigstoreInstance;
  readonly tick: Date;
}

/** What a policy asks for. */
export interface Demand {
  readonly authorities: readonly object[];
  readonly evidence?: object;
  readonly threshold?: number;
  readonly mode?: "enforce" | "warn";
  /** The trusted root that `corp` means; that of the instance `corp` when it is not given. */
  readonly root?: object;
}

/** What somebody attaches: a manifest with these layers. */
export interface Piece {
  readonly layers: readonly Layer[];
  /** A tag instead of a subject. */
  readonly tag?: string;
  readonly extra?: object;
  readonly who?: Who;
}

/** One way in which evidence can be. */
export interface Row {
  readonly what: string;
  /** What the decision says of it; `ok`: it counts. */
  readonly code: Code | "ok";
  readonly demand: (instances: Instances) => Demand;
  readonly evidence: (instances: Instances) => Promise<Layer | Piece>;
  /** Evidence that counts under the same demand, put besides; null where the artifact itself is what is wrong. */
  readonly good: ((instances: Instances) => Promise<Layer | Piece>) | null;
  /** The checks that fail besides, when the artifact itself is what is wrong. */
  readonly fails?: readonly string[];
  /** The artifact's own layers and members, when it is not the usual one. */
  readonly artifact?: { readonly layers: readonly Layer[]; readonly extra?: object };
}

const named = z.looseObject({ digest: z.string() });

/** A registry whose clock stands ten hours after the signatures of its Sigstore instances. */
export class EvidenceWorld {
  readonly policies: PolicyRegistry;
  readonly instances: Instances;
  readonly #demands = new Map<string, string>();
  readonly #moment: Moment;
  #pushed = 0;

  private constructor(policies: PolicyRegistry, instances: Instances, moment: Moment) {
    this.policies = policies;
    this.instances = instances;
    this.#moment = moment;
  }

  static async start(): Promise<EvidenceWorld> {
    const clock = wholeSecond();
    const after = (ms: number): Date => new Date(clock.getTime() + ms);
    const tick = after(0);
    const instances = {
      corp: await SigstoreInstance.start({ clock }),
      other: await SigstoreInstance.start({ clock, host: "rekor.other.example" }),
      late: await SigstoreInstance.start({ clock, timestampClock: after(3_600_000) }),
      tenths: await SigstoreInstance.start({ clock, timestampClock: after(500) }),
      ticking: await SigstoreInstance.start({ clock, timestampClock: tick }),
      tick,
    };
    const now = after(36_000_000).getTime();
    const moment: Moment = {};
    const registry = await startTestRegistry({
      around: (services) => ({ ...services, clock: () => now, metadata: heldUp(services.metadata, moment) }),
    });
    const sigstore = { root: JSON.stringify(instances.corp.document), keyless: () => Promise.reject(new Error("sign by an instance")) };
    return new EvidenceWorld(new PolicyRegistry(registry, sigstore), instances, moment);
  }

  /** Does something once, when the next promotion has been decided and is not committed. */
  beforeCommit(act: () => Promise<unknown>): void {
    this.#moment.act = act;
  }

  async stop(): Promise<void> {
    await this.policies.registry.stop();
  }

  /** Puts the policy of a demand in force, once, for a folder of its own; the folder. */
  async demand({ authorities, evidence = { kind: "signature" }, threshold = 1, mode = "enforce", root }: Demand): Promise<string> {
    const document = root ?? this.instances.corp.document;
    const id = digestOf(JSON.stringify([authorities, evidence, threshold, mode, document])).slice(7, 19);
    const known = this.#demands.get(id);
    if (known !== undefined) return known;
    const { json } = await this.policies.send("operator", "PUT /v1/trust-roots/corp-root", JSON.stringify(document));
    const anyOf = authorities.map((authority) => z.looseObject({ name: z.string() }).parse(authority).name);
    await this.policies.putPolicy(
      policyOf(id, `models/${id}/*`, {
        mode,
        trustRoots: { corp: { name: "corp-root", digest: named.parse(json).digest } },
        authorities,
        require: [{ name: "evidence", anyOf, threshold, evidence }],
      }),
    );
    this.#demands.set(id, `models/${id}`);
    return `models/${id}`;
  }

  /** Pushes an artifact into a repository of its own in a folder. */
  async push(folder: string, { layers, extra = {} }: NonNullable<Row["artifact"]> = ARTIFACT): Promise<Artifact> {
    const repository = `${folder}/a${(this.#pushed += 1)}`;
    for (const { bytes } of layers) await this.policies.pushBlob(repository, Buffer.from(bytes));
    await this.policies.pushBlob(repository, "{}");
    const { bytes, digest } = manifestWith(layers, extra);
    await this.policies.pushManifest(repository, "v1", Buffer.from(bytes));
    return { repository, ref: `${repository}:v1`, digest, size: bytes.length, mediaType: OCI_IMAGE };
  }

  /** Attaches evidence as a referrer, or under a tag; the digest of its manifest. */
  async attach({ repository, digest, size, mediaType }: Artifact, what: Layer | Piece): Promise<string> {
    const { layers, tag, extra = {}, who = "publisher" }: Piece = "layers" in what ? what : { layers: [what] };
    for (const { bytes } of layers) await this.policies.pushBlob(repository, Buffer.from(bytes), who);
    const manifest = manifestWith(layers, { ...(tag === undefined && { subject: { mediaType, digest, size } }), ...extra });
    await this.policies.pushManifest(repository, tag ?? manifest.digest, Buffer.from(manifest.bytes), who);
    return manifest.digest;
  }

  /** All that anybody can see of an artifact's state, and what readers get of it and of what is attached to it. */
  async seen({ repository, ref, digest }: Artifact, attached: readonly string[] = []): Promise<object> {
    const read = async (who: Who, path: string): Promise<unknown> => (await this.policies.send(who, `GET ${path}`)).json;
    const status = async (path: string): Promise<number> => (await this.policies.registry.fetchAs("runtime", path)).status;
    const pulled = [];
    for (const each of ["v1", digest, ...attached]) pulled.push(await status(`/v2/${repository}/manifests/${each}`));
    return {
      record: await read("operator", `/v1/artifacts/${ref}`),
      history: await read("operator", `/v1/artifacts/${ref}/history`),
      tags: await status(`/v2/${repository}/tags/list`),
      pulled,
    };
  }
}

const ARTIFACT = { layers: [{ bytes: Buffer.from("weights"), annotations: { "org.opencontainers.image.title": "model.safetensors" } }] };
if (manifestWith(ARTIFACT.layers).digest !== MODEL.digest) throw new Error("the usual artifact is the one that evidence is about");

/** How often the evidence of a decision was refused by which code: what was judged, and what was not even read. */
export function codesIn({ policies, evidence }: Decision): readonly string[] {
  const judged = policies.flatMap(({ requirements }) => requirements.flatMap(({ rejected }) => rejected));
  return [...judged, ...evidence.skipped].map(({ code }) => code).toSorted();
}

/** The trusted root of an instance with other members. */
export const rootWith = (document: TrustedRootDocument, change: object): object => ({ ...document, ...change });

/** Something to be done between a decision and its commit. */
interface Moment {
  act?: (() => Promise<unknown>) | undefined;
}

function heldUp(metadata: MetadataStore, moment: Moment): MetadataStore {
  return {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: async (change) => {
      const { act } = moment;
      if (act !== undefined && change.audit.some(({ type }) => type === "artifact.promote")) {
        moment.act = undefined;
        await act();
      }
      return metadata.commit(change);
    },
    close: () => metadata.close(),
  };
}
