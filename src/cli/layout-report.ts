import type { LayoutReport } from "../api/layout-report.ts";
import { PROOF_FAULTS } from "../lifecycle/proof-fault.ts";
import { type Proven, prove } from "../lifecycle/proof.ts";
import type { ProvenLink } from "../lifecycle/proof-chains.ts";
import type { Checker } from "../lifecycle/proof-snapshot.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { checkBytes, missingContent } from "./layout-content.ts";
import { MAX_PROMOTIONS } from "./export-policies.ts";
import type { LayoutError } from "./layout-error.ts";
import { NOBODY, type ProvenPromotion, signersOf } from "./layout-signers.ts";
import { type ListedContent, readListed } from "./layout-statements.ts";
import type { Layout } from "./layout.ts";

type Fault = LayoutReport["faults"][number];

/** The report on what is no layout at all. */
export function refusedLayout({ code, rule }: LayoutError): LayoutReport {
  return {
    accepted: false,
    faults: [{ code, message: rule, about: null }],
    ...NO_HEADER,
    keys: [],
    states: [],
    evidence: [],
    grounds: [],
    ...NOBODY,
    content: { manifests: 0, blobs: 0, bytes: 0 },
  };
}

/** Holds a layout against keys that are trusted, without the registry: every statement, every state, and every byte. */
export async function reportOn(layout: Layout, checker: Checker, progress: (bytes: number) => void): Promise<LayoutReport> {
  const listed = await readListed(layout);
  const proven = prove(listed.held, checker);
  const missing = proven.snapshot === undefined ? [] : await missingContent(layout, proven, listed);
  const bytes = await checkBytes(layout, progress);
  const promotions = promotionsIn(proven);
  const signers = await signersOf(layout, proven, { promotions, manifests: listed.manifests });
  const faults = [...[...proven.faults, ...signers.faults].map(proofFault), ...distinct([...listed.faults, ...missing, ...bytes.faults])];
  const accepted = faults.length === 0;
  return {
    accepted,
    faults,
    ...headerOf(proven),
    keys: keysOf(proven, checker),
    states: proven.states.filter(({ state, permanent }) => accepted || (permanent && state === "revoked")).map(shownState),
    evidence: evidenceIn(proven, listed),
    grounds: groundsOf(promotions, layout),
    ...(accepted ? signers.told : NOBODY),
    content: { manifests: listed.manifests.size, blobs: bytes.blobs, bytes: bytes.bytes },
  };
}

type Header = Pick<LayoutReport, "repository" | "digest" | "artifacts" | "taken_at" | "expires_at">;
const NO_HEADER: Header = { repository: null, digest: null, artifacts: [], taken_at: null, expires_at: null };

function headerOf({ snapshot, artifacts }: Proven): Header {
  if (snapshot === undefined) return NO_HEADER;
  const { repository, takenAt, expires } = snapshot;
  const [only, another] = artifacts;
  return {
    repository,
    digest: another === undefined ? (only ?? null) : null,
    artifacts: [...artifacts],
    taken_at: timeText(takenAt),
    expires_at: timeText(expires),
  };
}

function keysOf({ keys }: Proven, { trusted }: Checker): LayoutReport["keys"] {
  return keys.map(({ id, from, until }) => ({
    id,
    signed_from: from === 0 ? null : timeText(from),
    signed_until: until === Infinity ? null : timeText(until),
    given: trusted.has(id),
  }));
}

function proofFault({ code, about }: Proven["faults"][number]): Fault {
  return { code, message: PROOF_FAULTS[code], about };
}

/** One thing may be found wrong by several ways. */
function distinct(errors: readonly LayoutError[]): readonly Fault[] {
  return [...new Map(errors.map((error) => [error.message, error])).values()].map(({ code, rule }) => ({
    code,
    message: rule,
    about: null,
  }));
}

function shownState({
  repository,
  artifact,
  state,
  sequence,
  statement,
  permanent,
  links,
}: Proven["states"][number]): LayoutReport["states"][number] {
  const history = links.map((link: ProvenLink) => ({
    sequence: link.sequence,
    state: link.state,
    at: timeText(link.at),
    actor: link.actor,
    reason: link.reason ?? null,
    statement: link.statement,
  }));
  return { repository, digest: artifact, state, sequence, statement, permanent, history };
}

/** What is attached and is no statement of the registry. The snapshot tells of what the promotion covers, and of nothing else that is attached. */
function evidenceIn({ snapshot, artifacts }: Proven, { manifests }: ListedContent): LayoutReport["evidence"] {
  const exported = new Set(artifacts);
  return [...manifests]
    .filter(([, { subject, holdsStatement }]) => subject !== undefined && !holdsStatement)
    .map(([digest, { artifactType }]) => ({
      digest,
      artifact_type: artifactType ?? null,
      covered: snapshot?.subjects[`${snapshot.repository}@${digest}`] !== undefined && !exported.has(digest),
    }));
}

/** The promotions of what was exported, by artifact and then the earliest first; of each artifact no more than an export tells of. */
function promotionsIn({ states, artifacts }: Proven): readonly ProvenPromotion[] {
  const asked = new Set<Digest>(artifacts);
  return states
    .filter(({ artifact }) => asked.has(artifact))
    .toSorted((a, b) => (a.artifact < b.artifact ? -1 : 1))
    .flatMap(({ artifact, links }) => {
      const last = links.filter(({ state }) => state === "trusted").slice(-MAX_PROMOTIONS);
      return last.map(({ sequence, inputs }) => ({
        artifact,
        sequence,
        inputs: inputs.filter((input): input is Digest => isDigest(input)),
      }));
    });
}

function groundsOf(promotions: readonly ProvenPromotion[], layout: Layout): LayoutReport["grounds"] {
  return promotions.flatMap(({ artifact, sequence, inputs }) =>
    inputs.map((digest) => ({ artifact, sequence, digest, present: layout.sizeOf(digest) !== undefined })),
  );
}

function timeText(at: number): string {
  return new Date(at).toISOString();
}
