import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { auditEvent } from "../registry/audit-event.ts";
import { type KnownRevocation, authorityRevocations } from "../registry/authority-revocations.ts";
import { type ReliantPlace, mayComeTwice, reliantOn } from "../registry/reliant-artifacts.ts";
import { FOLLOW_AUTHORITIES } from "../registry/revoke-authority.ts";
import { type ReliantArtifact, followRevocation } from "../registry/follow-revocation.ts";
import { SYSTEM } from "../registry/system-actor.ts";
import type { TransitionServices } from "../registry/transition.ts";
import { keys } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { type FollowingRecord, followedRecord, followingRecord } from "../storage/policy-records.ts";
import { indexDecisions } from "./index-decisions.ts";

const KEY = keys.job(FOLLOW_AUTHORITIES);
/** Artifacts between two records of how far this has come: each may take a decision. */
const MARK = 16;

/**
 * Looks at every artifact that rested on an authority which was revoked since, and revokes or quarantines those that do not pass without it
 * (trust.md §7.4); how many. It can end anywhere and goes on where it was: what was revoked already is left alone. An artifact that cannot be
 * decided about keeps no other one, and is looked at again by the next run.
 */
export async function followAuthorities(services: TransitionServices, signal?: AbortSignal): Promise<number> {
  if (!(await indexDecisions(services, signal))) return 0;
  let changed = 0;
  for (const revocation of await authorityRevocations(services)) {
    if (revocation.record.followed !== null) continue;
    const following = await Following.of(services, revocation, signal);
    await following.run();
    changed += following.changed;
    if (signal?.aborted === true) break;
  }
  return changed;
}

class Following {
  changed = 0;
  readonly #services: TransitionServices;
  readonly #revocation: KnownRevocation;
  readonly #signal: AbortSignal | undefined;
  #progress: FollowingRecord;
  #unmarked = 0;
  /** Artifacts that were looked at since the last mark, by the key of their row; only where several signers lead to one. */
  readonly #looked = new Map<string, Put>();

  private constructor(
    services: TransitionServices,
    revocation: KnownRevocation,
    progress: FollowingRecord,
    signal: AbortSignal | undefined,
  ) {
    this.#services = services;
    this.#revocation = revocation;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Goes on with what was under way, or begins. */
  static async of(services: TransitionServices, revocation: KnownRevocation, signal: AbortSignal | undefined): Promise<Following> {
    const entry = await services.metadata.get(KEY);
    const before = entry && followingRecord.parse(entry.value);
    const { statement } = revocation;
    const progress = before?.statement === statement ? before : { v: 1 as const, statement, after: null, ...NONE };
    return new Following(services, revocation, progress, signal);
  }

  async run(): Promise<void> {
    const { authority } = this.#revocation;
    for await (const place of reliantOn(this.#services, authority, { after: this.#progress.after, signal: this.#signal })) {
      if (this.#signal?.aborted === true) break;
      await this.#follow(place);
    }
    if (this.#signal?.aborted === true) return this.#mark();
    return this.#progress.failed === 0 ? this.#end() : this.#beginAgain();
  }

  async #follow(place: ReliantPlace): Promise<void> {
    const [, repository, artifact] = place;
    const at = { repository: repositoryNameSchema.parse(repository), artifact: digestSchema.parse(artifact) };
    try {
      const followed = (await this.#isLookedAt(at)) ? undefined : await followRevocation(this.#services, this.#revocation, at);
      const told = followed === undefined ? {} : { [followed]: this.#progress[followed] + 1 };
      this.#progress = { ...this.#progress, ...told, after: place };
      this.#note(at);
      this.changed += Number(followed === "revoked" || followed === "quarantined");
    } catch (error) {
      this.#services.log.error(
        { err: error, ...at },
        "an artifact that rested on a revoked authority could not be decided about; it will be tried again",
      );
      this.#progress = { ...this.#progress, after: place, failed: this.#progress.failed + 1 };
    }
    this.#unmarked += 1;
    if (this.#unmarked % MARK === 0) await this.#mark();
  }

  /** Was it counted under another signer? */
  async #isLookedAt({ repository, artifact }: ReliantArtifact): Promise<boolean> {
    const { authority, statement } = this.#revocation;
    if (!mayComeTwice(authority)) return false;
    const key = keys.followed(repository, artifact);
    if (this.#looked.has(key.join("\n"))) return true;
    const entry = await this.#services.metadata.get(key);
    return entry !== undefined && followedRecord.parse(entry.value).statement === statement;
  }

  #note({ repository, artifact }: ReliantArtifact): void {
    const { authority, statement } = this.#revocation;
    if (!mayComeTwice(authority)) return;
    const key = keys.followed(repository, artifact);
    this.#looked.set(key.join("\n"), { key, value: { v: 1, statement } });
  }

  /** Which artifacts were counted is written down with the counts. */
  async #mark(): Promise<void> {
    const put = [...this.#looked.values(), { key: KEY, value: this.#progress }];
    await this.#services.metadata.commit({ expect: [], put, remove: [], audit: [] });
    this.#looked.clear();
  }

  /** From the first artifact on, when some could not be decided about. */
  async #beginAgain(): Promise<void> {
    const kept = mayComeTwice(this.#revocation.authority) ? this.#progress.kept : 0;
    this.#progress = { ...this.#progress, after: null, kept, failed: 0 };
    await this.#mark();
  }

  async #end(): Promise<void> {
    const { statement, record, version } = this.#revocation;
    const { revoked, quarantined, kept } = this.#progress;
    const followed = { revoked, quarantined, kept };
    const key = keys.revokedAuthority(statement);
    const target = { kind: "registry", name: "authority", digest: statement } as const;
    const audit = [auditEvent(this.#services, SYSTEM, { type: "authority.follow", target, after: followed })];
    // One that was lifted meanwhile needs no end.
    await this.#services.metadata.commit({ expect: [{ key, version }], put: [{ key, value: { ...record, followed } }], remove: [], audit });
    await this.#services.metadata.commit({ expect: [], put: [], remove: [KEY], audit: [] });
  }
}

const NONE = { revoked: 0, quarantined: 0, kept: 0, failed: 0 };
