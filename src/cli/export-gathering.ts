import type { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf, digestSchema } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type NativeClient, artifactPath, recordSchema } from "./client.ts";
import type { ExportContent } from "./export-content.ts";
import { type ExportPlan, planExport } from "./export-plan.ts";
import { Grounds } from "./export-policies.ts";
import { addStatements } from "./export-statements.ts";
import { ExportRoom } from "./export-tree.ts";
import { ExportWalk } from "./export-walk.ts";
import { MovedOn } from "./moved-on.ts";
import type { Repository } from "./registry-client.ts";

const exportedSchema = recordSchema.extend({ digest: digestSchema });
/** An artifact that is exported. */
export type ExportedArtifact = z.infer<typeof exportedSchema>;

/** What artifacts of a repository are gathered from, and into. */
export interface GatheringPlaces {
  readonly native: NativeClient;
  readonly repository: Repository;
  readonly name: RepositoryName;
  readonly content: ExportContent;
  /** How old (s) snapshots may be. */
  readonly maxAge: number | undefined;
}

/** Gathers artifacts of one repository, each with its proof, for one layout: all snapshots in it say the same of what they both tell of. */
export class ExportGathering {
  /** The earliest of all snapshots. */
  takenAt = "";
  expiresAt = "";
  readonly #places: GatheringPlaces;
  readonly #grounds: Grounds;
  readonly #room = new ExportRoom();
  readonly #leftOut = new Map<Digest, string>();
  /** Digests of the heads that snapshots told, by name. */
  readonly #heads = new Map<string, Digest>();
  #common: string | undefined;

  constructor(places: GatheringPlaces) {
    this.#places = places;
    this.#grounds = new Grounds(places.native);
  }

  /** Adds an artifact with all that belongs to it. Throws `MovedOn` when it is of another time than the ones before. */
  async add(digest: Digest): Promise<ExportedArtifact> {
    const { native, repository, name, content, maxAge } = this.#places;
    const ref = { repository: name, digest, tag: undefined };
    const record = await native.request({ method: "GET", path: artifactPath(ref) }, exportedSchema);
    const plan = await planExport(native, ref, maxAge);
    this.#hold(plan);
    const walk = new ExportWalk({ repository, plan, content, room: this.#room });
    await walk.run(digest);
    const decisions = await addStatements(repository, plan, walk.gathered, content);
    await this.#grounds.add(ref, decisions, content);
    for (const each of walk.leftOut) this.#leftOut.set(each.digest, each.because);
    return record;
  }

  /** Does a snapshot tell of it? */
  tellsOf(digest: Digest): boolean {
    return this.#heads.has(`${this.#places.name}@${digest}`);
  }

  /** Is it there already? */
  has(digest: Digest): boolean {
    return this.#places.content.has(digest);
  }

  leaveOut(digest: Digest, because: string): void {
    this.#leftOut.set(digest, because);
  }

  /** What is nowhere in the layout, though something led to it. */
  get leftOut(): readonly { readonly digest: Digest; readonly because: string }[] {
    const { content } = this.#places;
    return [...this.#leftOut].map(([digest, because]) => ({ digest, because })).filter(({ digest }) => !content.has(digest));
  }

  #hold({ answer, said }: ExportPlan): void {
    const { registry, keys, registryStatements, revokedAuthorities, subjects } = said;
    const common = canonicalJson({ registry, keys, registryStatements, revokedAuthorities });
    if ((this.#common ??= common) !== common) throw new MovedOn("the registry's keys, policies or publishers have changed meanwhile");
    for (const [name, head] of Object.entries(subjects)) {
      const told = digestOf(canonicalJson(head));
      if ((this.#heads.get(name) ?? told) !== told) throw new MovedOn("an artifact has changed its state meanwhile");
      this.#heads.set(name, told);
    }
    this.takenAt = earlier(this.takenAt, answer.taken_at);
    this.expiresAt = earlier(this.expiresAt, answer.expires_at);
  }
}

function earlier(known: string, other: string): string {
  return known !== "" && Date.parse(known) <= Date.parse(other) ? known : other;
}
