import { isDeepStrictEqual } from "node:util";
import type { Artifact } from "../../support/policy-registry.ts";
import { type Code, type EvidenceWorld, type Row, codesIn } from "./world.ts";

/** What became of an artifact with some evidence, as whoever promotes and whoever reads it sees it. */
interface Outcome {
  /** Of the promotion. */
  readonly status: number;
  /** Checks that failed. */
  readonly failed: readonly string[];
  readonly codes: readonly Code[];
  /** Does the failed check tell the same to people, and does evaluate say what promote does? */
  readonly told: boolean;
  /** Is everything about the artifact as it was before? */
  readonly unchanged: boolean;
  /** Was it promoted once there was good evidence besides? Undefined where that was not tried. */
  readonly promotable?: boolean;
}

/** Promotes an artifact with the evidence of a row, over HTTP all the way. */
export async function outcomeOf(world: EvidenceWorld, row: Row): Promise<Outcome> {
  const folder = await world.demand(row.demand(world.instances));
  const artifact = await world.push(folder, row.artifact);
  const attached = [await world.attach(artifact, await row.evidence(world.instances))];
  const outcome = await promotionOf(world, artifact, attached);
  if (row.code === "ok" || row.good === null) return outcome;
  attached.push(await world.attach(artifact, await row.good(world.instances)));
  const { status } = await world.policies.act(artifact, "promote");
  return { ...outcome, promotable: status === 200 && (await isServed(world, artifact)) };
}

async function promotionOf(world: EvidenceWorld, artifact: Artifact, attached: readonly string[]): Promise<Outcome> {
  const before = await world.seen(artifact, attached);
  const evaluated = await world.policies.act(artifact, "evaluate");
  const { status, decision } = await world.policies.act(artifact, "promote");
  const failed = decision.checks.filter((check) => check.status === "fail");
  const rejected = decision.policies.flatMap(({ requirements }) => requirements.flatMap((requirement) => requirement.rejected));
  return {
    status,
    failed: failed.map(({ id }) => id.replace(/^policy\/[0-9a-f]{12}\//, "")),
    codes: [...new Set(codesIn(decision))] as Code[],
    told: isDeepStrictEqual(evaluated.decision, decision) && rejected.every(({ code }) => isTold(failed, code)),
    unchanged: isDeepStrictEqual(before, await world.seen(artifact, attached)),
  };
}

function isTold(failed: readonly { readonly message: string }[], code: string): boolean {
  return failed.length === 0 || failed.some(({ message }) => message.includes(`${code} (`));
}

async function isServed(world: EvidenceWorld, artifact: Artifact): Promise<boolean> {
  const pulled = await world.policies.registry.fetchAs("runtime", `/v2/${artifact.repository}/manifests/v1`);
  return pulled.status === 200 && (await world.policies.stateOf(artifact)) === "trusted";
}

/** What has to become of it. */
export function expectedOf({ code, good, fails = [] }: Row): Outcome {
  if (code === "ok") return { status: 200, failed: [], codes: [], told: true, unchanged: false };
  const refused = { status: 422, failed: [...fails, "evidence"], codes: [code], told: true, unchanged: true };
  return good === null ? refused : { ...refused, promotable: true };
}

/** Rows with the names of their tests. */
export const named = (rows: readonly Row[]): (readonly [name: string, row: Row])[] => rows.map((row) => [`${row.what}: ${row.code}`, row]);
