import { isDeepStrictEqual } from "node:util";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { isBuiltIn } from "../policy/promotion.ts";
import { type WrittenPolicy, objectionTo } from "../policy/written.ts";
import type { Authority } from "../trust/authority.ts";
import { type Subject, subjectOf } from "../trust/subject.ts";
import { type Grounds, VERIFIER, type Verdict } from "../trust/verdict.ts";
import { keys } from "../storage/keys.ts";
import type { ReadingRecord } from "../storage/policy-records.ts";
import { EvidenceReader, type HeldCandidate } from "./evidence-reader.ts";
import { policiesFor } from "./policies-in-force.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import { isSmall, verdictKey, verdictOn } from "./verdict-cache.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "settings" | "log">;

/** Signatures that are looked at when a referrer is attached: whoever attaches junk has the registry do no more. */
const MAX_LOOKS = 16;

/**
 * Reads a referrer that was just attached, and verifies what is in it as the policies of its repository ask now, so that the promotion need
 * not: what was found is written down for all workers, by the digests of all that it follows from. Never throws: a promotion finds
 * whatever this did not.
 */
export async function lookAtEvidence(needs: Needs, repository: RepositoryName, attached: Digest): Promise<void> {
  try {
    await look(needs, repository, attached);
  } catch (error) {
    needs.log.warn({ err: error, repository, digest: attached }, "evidence was not looked at before its promotion");
  }
}

async function look(needs: Needs, repository: RepositoryName, attached: Digest): Promise<void> {
  if (!isBuiltIn(needs.settings.promotionPolicy)) return;
  const found = await findManifest(needs, repository, attached);
  const subject = found?.record.subject ? await findSubject(needs, repository, found.record.subject) : undefined;
  if (found === undefined || subject === undefined) return;
  const { policies } = await policiesFor(needs, repository);
  const wanted = policies.flatMap(wantsOf);
  if (wanted.length === 0) return;
  const read = await new EvidenceReader(needs, repository).readNow(found.record);
  if (read?.layers === undefined) return;
  const looking = new Looking(wanted, subject, needs.clock());
  const candidates: ReadingRecord["candidates"][number][] = [];
  for (const candidate of read.candidates) {
    const { format, blob, id } = candidate;
    candidates.push({ format, blob, id, verdicts: await looking.at(candidate) });
  }
  const value: ReadingRecord = {
    v: 1,
    verifier: VERIFIER,
    layers: read.layers.map(({ digest, size }) => ({ digest, size })),
    candidates,
    skipped: read.skipped.map(({ blob, code, message }) => ({ blob: blob ?? null, code, message })),
  };
  const expect = [{ key: keys.manifest(repository, attached), version: found.version }];
  await needs.metadata.commit({ expect, put: [{ key: keys.reading(repository, attached), value }], remove: [], audit: [] });
}

async function findSubject(needs: Needs, repository: RepositoryName, named: Digest): Promise<Subject | undefined> {
  const found = await findManifest(needs, repository, named);
  const content = found && (await needs.metadata.get(keys.manifestContent(repository, found.record.digest)));
  return content?.value instanceof Uint8Array && found !== undefined ? subjectOf(content.value, found.record.mediaType) : undefined;
}

/** What one requirement of a policy asks of evidence: its authorities, in the order in which a decision asks them. */
interface Want {
  readonly isTaken: (candidate: HeldCandidate) => boolean;
  readonly authorities: readonly Authority[];
  readonly grounds: Pick<Grounds, "trustRoots" | "unsignedConfig">;
}

function wantsOf({ document, trustRoots }: WrittenPolicy): readonly Want[] {
  return document.spec.require.flatMap((requirement) => {
    const { anyOf, evidence } = requirement;
    const authorities = document.spec.authorities.filter(({ name }) => anyOf.includes(name));
    const unsignedConfig = evidence.kind === "oms" && evidence.unsignedConfig;
    const isTaken = (candidate: HeldCandidate): boolean => objectionTo(candidate, requirement) === undefined;
    return authorities.length === 0 ? [] : [{ isTaken, authorities, grounds: { trustRoots, unsignedConfig } }];
  });
}

/** Looks at signatures within one bound. */
class Looking {
  readonly #wanted: readonly Want[];
  readonly #subject: Subject;
  readonly #now: number;
  #left = MAX_LOOKS;

  constructor(wanted: readonly Want[], subject: Subject, now: number) {
    this.#wanted = wanted;
    this.#subject = subject;
    this.#now = now;
  }

  /** The verdicts on a candidate that may be kept. */
  async at(held: HeldCandidate): Promise<ReadingRecord["candidates"][number]["verdicts"]> {
    const candidate = await held.claimed();
    const verdicts = new Map<Digest, string>();
    if (candidate === undefined) return [];
    for (const { authorities, grounds } of this.#wanted.filter(({ isTaken }) => isTaken(held))) {
      const on = { ...grounds, subject: this.#subject, now: this.#now };
      for (const authority of authorities) {
        const key = verdictKey(held, authority, on);
        if (key === undefined || verdicts.has(key) || this.#left === 0) continue;
        this.#left -= 1;
        const verdict = verdictOn(candidate, authority, on);
        if (isKept(verdict)) verdicts.set(key, JSON.stringify(verdict));
        if (verdict.ok) break;
      }
    }
    return [...verdicts].map(([of, verdict]) => ({ of, verdict }));
  }
}

/** Small, and the same when it is read again: JSON has texts for numbers that it cannot write. */
function isKept(verdict: Verdict): boolean {
  return isSmall(verdict) && isDeepStrictEqual(JSON.parse(JSON.stringify(verdict)), verdict);
}
