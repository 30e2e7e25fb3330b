import { decisionAnswer } from "../../api/decision.ts";
import { compareInside, compareToTrusted, type Comparison, type ModelPair } from "../../registry/compare-artifacts.ts";
import { findArtifact } from "../../registry/find-artifact.ts";
import type { ModelInsides } from "../../registry/model-insides.ts";
import { promotionNow } from "../../registry/possible-changes.ts";
import { type TrustedBase, trustedBase } from "../../registry/trusted-base.ts";
import { type Changes, changesTab } from "../../ui/changes.ts";
import type { Html } from "../../ui/html.ts";
import { type ArtifactPageServices, type Look, shownArtifact } from "./artifact-at.ts";
import { placeIn } from "./artifact-files.ts";

const MAX_MANIFEST = 4_194_304;
const FILES = 15;
const ANNOTATIONS = 6;
/** Of tensors and of metadata: as many where they are asked for, and beside files. */
const VALUES = 15;
const FEW_VALUES = 5;

/** What is different to what is trusted now. */
export async function changesOf(services: ArtifactPageServices, look: Look, insides: ModelInsides): Promise<Html> {
  const { artifact, caller, shown } = look;
  const { repository, record } = artifact;
  const base = await trustedBase(services, caller, repository, record.digest);
  if (base === undefined) {
    return changesTab({ why: "Nothing else in this repository is trusted now, so there is nothing to compare it to: all of it is new." });
  }
  const compared = await compareToTrusted(services, caller, { repository, digest: record.digest, base }, MAX_MANIFEST);
  if (compared === undefined) return changesTab({ why: "You may not read one of the two manifests, or its content is gone." });
  const asked = look.c.req.query("inside");
  const pair = asked === undefined ? compared.pairs[0] : compared.pairs.find(({ to }) => to.digest === asked);
  const inside = pair && (await insideOf({ services, insides }, look, pair, asked === undefined ? FEW_VALUES : VALUES));
  return changesTab({
    artifact: shown,
    base: { repository, digest: base.record.names[0] ?? base.record.digest },
    tag: base.tag,
    files: filesOf(compared, placeIn(look.c.req.query("from"))),
    annotations: partOf(compared.annotations, ANNOTATIONS),
    inside,
    signers: await signersOf(services, look, base),
    room: look.room,
  });
}

function filesOf(compared: Comparison, from: number): Changes["files"] {
  const { changes, alike, counts, fromBytes, toBytes, pairs } = compared;
  const comparable = new Set<string>(pairs.map(({ to }) => to.digest));
  const start = Math.min(from, changes.length);
  const shown = changes.slice(start, start + FILES).map((change) => ({ ...change, isComparable: comparable.has(change.to?.digest ?? "") }));
  return { shown, total: changes.length, from: start, alike, counts, fromBytes, toBytes };
}

function partOf<T>(all: readonly T[], most: number): { readonly shown: readonly T[]; readonly total: number } {
  return { shown: all.slice(0, most), total: all.length };
}

async function insideOf(
  needs: { readonly services: ArtifactPageServices; readonly insides: ModelInsides },
  { caller, artifact }: Look,
  pair: ModelPair,
  most: number,
): Promise<Changes["inside"]> {
  const inside = await compareInside(needs, caller, artifact.repository, pair);
  if (inside === "under-way" || "why" in inside) return inside;
  return { ...inside, tensors: partOf(inside.tensors, most), metadata: partOf(inside.metadata, most) };
}

/** Whose evidence the decision about what is trusted took, and whose one about this artifact would take. */
async function signersOf(
  services: ArtifactPageServices,
  { caller, artifact, shown }: Look,
  base: TrustedBase,
): Promise<Changes["signers"]> {
  const at = { repository: artifact.repository, reference: { digest: base.record.digest } };
  const trusted = await shownArtifact(services, await findArtifact(services, caller, at, "seen"));
  const here = (await promotionNow(services, artifact))?.decision ?? shown.decision;
  const [before, after] = [signersIn(trusted.decision), signersIn(here)];
  if (before === undefined || after === undefined) return undefined;
  return {
    gained: [...after.difference(before)].toSorted(),
    lost: [...before.difference(after)].toSorted(),
    same: [...after.intersection(before)].toSorted(),
  };
}

/** By name, as a person tells signers apart; undefined without a decision. */
function signersIn(decision: unknown): ReadonlySet<string> | undefined {
  const parsed = decisionAnswer.safeParse(decision).data;
  const requirements = parsed?.policies.flatMap(({ requirements: all }) => all);
  return (
    requirements &&
    new Set(
      requirements.flatMap(({ accepted, approvals = [] }) => [
        ...accepted.map(
          ({ authority, signer }) =>
            `${authority}: ${"issuer" in signer ? signer.subject : signer.type === "key" ? `key ${signer.id}` : signer.subject}`,
        ),
        ...approvals.map(({ by }) => `approved by ${by}`),
      ]),
    )
  );
}
