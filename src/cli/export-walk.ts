import { openStatement } from "../lifecycle/proof-bundle.ts";
import { claimsToBeOwn, isNewerLink } from "../lifecycle/proof-strangers.ts";
import { SNAPSHOT_PREDICATE } from "../lifecycle/snapshot.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { ExportContent } from "./export-content.ts";
import type { ExportPlan } from "./export-plan.ts";
import { type ExportRoom, MAX_DEPTH, MAX_MANIFESTS, NotWhole, TreeLook, tooLarge } from "./export-tree.ts";
import { CliError, EXIT } from "./failure.ts";
import { MovedOn } from "./moved-on.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";
import { MAX_STATEMENT_BYTES, heldIn, statementLayers } from "./statement-layers.ts";

/** What is to be exported would make its own proof worthless. */
export class LooksLikeOwn extends CliError {
  constructor() {
    super(EXIT.failure, "it is a snapshot, or claims to be a statement of the registry: with it nothing would be proven");
  }
}

interface Visit {
  readonly digest: Digest;
  readonly depth: number;
  /** The descriptor that led here; undefined for a root, and for what is attached. */
  readonly named: Descriptor | undefined;
}

/** What a walk gathers from, and into. */
export interface ExportPlaces {
  readonly repository: Repository;
  readonly plan: ExportPlan;
  readonly content: ExportContent;
  readonly room: ExportRoom;
}

/**
 * Gathers an artifact, all that it contains, and all that is attached to that and is no statement of the registry. What the snapshot does
 * not tell of anybody may have pushed: what cannot be had whole is left out, as is what there is no room for.
 */
export class ExportWalk {
  /** What was gathered, by sha256. */
  readonly gathered = new Map<Digest, PulledManifest["descriptor"]>();
  /** What was left out, and why. */
  readonly leftOut: { readonly digest: Digest; readonly because: string }[] = [];
  readonly #places: ExportPlaces;
  readonly #look: TreeLook;
  readonly #seen = new Set<Digest>();

  constructor(places: ExportPlaces) {
    this.#places = places;
    this.#look = new TreeLook(places.repository, (digest) => this.#stateOf(digest) === "revoked");
  }

  /** Throws `MovedOn` when the registry has more statements by now than the plan, and `NotWhole` where the artifact itself is not all there. */
  async run(root: Digest): Promise<void> {
    if (this.#stateOf(root) !== "trusted") await this.#demandRoom(root);
    let subjects = await this.#add(root, "root");
    for (let depth = 1; subjects.length > 0; depth += 1) {
      const attached: Digest[] = [];
      for (const subject of subjects) attached.push(...(await this.#attachAll(await this.#attachedTo(subject), depth)));
      subjects = attached;
    }
    // Where very much is attached, what a promotion covers may not have been among it.
    await this.#attachAll(this.#told(), 1);
  }

  #stateOf(digest: Digest): string | undefined {
    const { repository, subjects } = this.#places.plan.said;
    return subjects[`${repository}@${digest}`]?.state;
  }

  /** What the snapshot tells of, may be had, and was not gathered by any name. */
  #told(): readonly Digest[] {
    return Object.entries(this.#places.plan.said.subjects).flatMap(([name, { state }]) => {
      const digest = name.slice(name.lastIndexOf("@") + 1);
      return isDigest(digest) && !this.gathered.has(digest) && state !== "revoked" && state !== "deleted" ? [digest] : [];
    });
  }

  async #demandRoom(digest: Digest): Promise<void> {
    const { room } = this.#places;
    if (room.isFull || !room.take(await this.#look.sizeOf(digest)))
      throw new NotWhole("there is too much that nobody promoted: delete what is not needed, or promote it");
  }

  /** Adds what is attached to something; answers all manifests that came with it. */
  async #attachAll(digests: readonly Digest[], depth: number): Promise<readonly Digest[]> {
    const added: Digest[] = [];
    for (const digest of digests) {
      if (this.#seen.has(digest) || this.#places.plan.own.has(digest)) continue;
      try {
        if (depth > MAX_DEPTH) throw tooLarge();
        if (this.#stateOf(digest) === undefined) await this.#demandRoom(digest);
        added.push(...(await this.#add(digest, "attached")));
      } catch (error) {
        if (!(error instanceof NotWhole)) throw error;
        this.#seen.add(digest);
        this.leftOut.push({ digest, because: error.message });
      }
    }
    return added;
  }

  /** Adds a manifest with all that it contains; answers these manifests. */
  async #add(root: Digest, as: "root" | "attached"): Promise<readonly Digest[]> {
    const added: Digest[] = [];
    let visits: readonly Visit[] = [{ digest: root, depth: 0, named: undefined }];
    while (visits.length > 0) {
      const next: Visit[] = [];
      for (const visit of visits) {
        if (visit.depth > MAX_DEPTH || added.length >= MAX_MANIFESTS) throw tooLarge();
        const manifest = await this.#visit(visit, as);
        if (manifest === undefined) continue;
        added.push(visit.digest);
        next.push(...manifest.manifestReferences.map((named) => ({ digest: named.digest, depth: visit.depth + 1, named })));
      }
      visits = next;
    }
    return added;
  }

  /** Adds one manifest; undefined where it is there already, or is left out. */
  async #visit(visit: Visit, as: "root" | "attached"): Promise<Manifest | undefined> {
    const { digest, named } = visit;
    const { plan, content } = this.#places;
    if (this.#seen.has(digest) || plan.own.has(digest)) return undefined;
    this.#seen.add(digest);
    const pulled = await this.#pull(visit);
    if (pulled === undefined) return undefined;
    const manifest = parseManifest(pulled.bytes, pulled.descriptor.mediaType);
    if (named === undefined && (await this.#isOfRegistry(manifest, digest))) {
      this.#leaveOut(digest, as);
      return undefined;
    }
    await content.addManifest(pulled, named === undefined ? "listed" : "reached");
    this.gathered.set(digestOf(pulled.bytes), pulled.descriptor);
    return manifest;
  }

  #leaveOut(digest: Digest, as: "root" | "attached"): void {
    if (as === "root") throw new LooksLikeOwn();
    this.leftOut.push({
      digest,
      because: "it is a snapshot, or is or claims to be a statement of the registry, and is none that the snapshot names",
    });
  }

  /** Undefined for a revoked part, which its own chain tells of and which readers get no more. */
  async #pull({ digest, named }: Visit): Promise<PulledManifest | undefined> {
    try {
      const pulled = await this.#places.repository.fetchManifest(digest);
      if (named === undefined || named.size === pulled.descriptor.size) return pulled;
      throw new CliError(EXIT.integrity, `${digest} has another size than the manifest that contains it says: refused`);
    } catch (error) {
      const isRevoked = this.#stateOf(digest) === "revoked";
      if (!(error instanceof CliError) || error.exit !== EXIT.denied || named === undefined || !isRevoked) throw error;
      this.leftOut.push({ digest, because: "it is revoked" });
      return undefined;
    }
  }

  async #attachedTo(subject: Digest): Promise<readonly Digest[]> {
    const attached: Digest[] = [];
    for await (const { digest } of this.#places.repository.referrers(subject)) {
      attached.push(digest);
      if (attached.length > MAX_MANIFESTS) break;
    }
    return attached;
  }

  async #isOfRegistry(manifest: Manifest, digest: Digest): Promise<boolean> {
    if (manifest.subject === undefined) return false;
    const { content, plan } = this.#places;
    for (const { layer, form } of statementLayers(manifest)) {
      const bytes = await content.smallBlob(layer, MAX_STATEMENT_BYTES);
      const statement = openStatement(heldIn(manifest, digest, form, bytes));
      // The snapshot of an export is never among the referrers; one of another registry would make it unclear which one counts.
      if (statement?.predicateType === SNAPSHOT_PREDICATE) return true;
      if (statement === undefined || !claimsToBeOwn(statement, plan.belonging)) continue;
      if (isNewerLink(statement, plan.belonging)) throw new MovedOn("the artifact has changed its state meanwhile");
      return true;
    }
    return false;
  }
}
