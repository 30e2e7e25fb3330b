import { openStatement } from "../lifecycle/proof-bundle.ts";
import { claimsToBeOwn, isNewerLink } from "../lifecycle/proof-strangers.ts";
import { SNAPSHOT_PREDICATE } from "../lifecycle/snapshot.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { ExportContent } from "./export-content.ts";
import type { ExportPlan } from "./export-plan.ts";
import { CliError, EXIT } from "./failure.ts";
import { MovedOn } from "./moved-on.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";
import { MAX_STATEMENT_BYTES, heldIn, statementLayers } from "./statement-layers.ts";

/** As for promotions (RULES 2), of what is contained and of what is attached alike. */
const MAX_DEPTH = 8;
const MAX_MANIFESTS = 10_000;

/** What is to be exported would make its own proof worthless. */
export class LooksLikeOwn extends CliError {
  constructor() {
    super(EXIT.failure, "it is a snapshot, or claims to be a statement of the registry: with it nothing would be proven");
  }
}

interface Visit {
  readonly digest: Digest;
  readonly depth: number;
  /** The descriptor that led here; undefined for what is attached. */
  readonly named: Descriptor | undefined;
}

/** Gathers an artifact, all that it contains, and all that is attached to that and is no statement of the registry. */
export class ExportWalk {
  /** What was gathered, by sha256. */
  readonly gathered = new Map<Digest, PulledManifest["descriptor"]>();
  /** What was left out, and why. */
  readonly leftOut: { readonly digest: Digest; readonly because: string }[] = [];
  readonly #repository: Repository;
  readonly #plan: ExportPlan;
  readonly #content: ExportContent;
  readonly #seen = new Set<Digest>();

  constructor(repository: Repository, plan: ExportPlan, content: ExportContent) {
    this.#repository = repository;
    this.#plan = plan;
    this.#content = content;
  }

  /** Throws `MovedOn` when the registry has more statements by now than the plan. */
  async run(root: Digest): Promise<void> {
    let visits: readonly Visit[] = [{ digest: root, depth: 0, named: undefined }];
    while (visits.length > 0) {
      const next: Visit[] = [];
      for (const visit of visits) next.push(...(await this.#visit(visit)));
      visits = next;
    }
  }

  async #visit(visit: Visit): Promise<readonly Visit[]> {
    const { digest, depth, named } = visit;
    if (this.#seen.has(digest) || this.#plan.own.has(digest)) return [];
    this.#seen.add(digest);
    if (depth > MAX_DEPTH || this.#seen.size > MAX_MANIFESTS) {
      throw new CliError(EXIT.failure, `more than ${MAX_MANIFESTS} manifests, or nested more than ${MAX_DEPTH} deep, are not exported`);
    }
    const pulled = await this.#pull(visit);
    if (pulled === undefined) return [];
    const manifest = parseManifest(pulled.bytes, pulled.descriptor.mediaType);
    if (named === undefined && (await this.#isOfRegistry(manifest, digest))) {
      this.#leaveOut(visit);
      return [];
    }
    await this.#content.addManifest(pulled, named === undefined ? "listed" : "reached");
    this.gathered.set(digestOf(pulled.bytes), pulled.descriptor);
    const children = manifest.manifestReferences.map((child) => ({ digest: child.digest, depth: depth + 1, named: child }));
    return [...children, ...(await this.#referrersOf(digest, depth + 1))];
  }

  #leaveOut({ digest, depth }: Visit): void {
    if (depth === 0) throw new LooksLikeOwn();
    this.leftOut.push({
      digest,
      because: "it is a snapshot, or is or claims to be a statement of the registry, and is none that the snapshot names",
    });
  }

  /** Undefined for a revoked part, which its own chain tells of and which readers get no more. */
  async #pull({ digest, named }: Visit): Promise<PulledManifest | undefined> {
    try {
      const pulled = await this.#repository.fetchManifest(digest);
      if (named === undefined || named.size === pulled.descriptor.size) return pulled;
      throw new CliError(EXIT.integrity, `${digest} has another size than the manifest that contains it says: refused`);
    } catch (error) {
      const isRevoked = this.#plan.said.subjects[`${this.#plan.said.repository}@${digest}`]?.state === "revoked";
      if (!(error instanceof CliError) || error.exit !== EXIT.denied || named === undefined || !isRevoked) throw error;
      this.leftOut.push({ digest, because: "it is revoked" });
      return undefined;
    }
  }

  async #referrersOf(subject: Digest, depth: number): Promise<readonly Visit[]> {
    const visits: Visit[] = [];
    for await (const { digest } of this.#repository.referrers(subject)) {
      visits.push({ digest, depth, named: undefined });
      if (visits.length > MAX_MANIFESTS) break;
    }
    return visits;
  }

  async #isOfRegistry(manifest: Manifest, digest: Digest): Promise<boolean> {
    if (manifest.subject === undefined) return false;
    for (const { layer, form } of statementLayers(manifest)) {
      const bytes = await this.#content.smallBlob(layer, MAX_STATEMENT_BYTES);
      const statement = openStatement(heldIn(manifest, digest, form, bytes));
      // The snapshot of an export is never among the referrers; one of another registry would make it unclear which one counts.
      if (statement?.predicateType === SNAPSHOT_PREDICATE) return true;
      if (statement === undefined || !claimsToBeOwn(statement, this.#plan.belonging)) continue;
      if (isNewerLink(statement, this.#plan.belonging)) throw new MovedOn("the artifact has changed its state meanwhile");
      return true;
    }
    return false;
  }
}
