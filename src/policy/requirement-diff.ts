import {
  type Effect,
  type Place,
  type PolicyChange,
  added,
  changed,
  changedAmount,
  changedList,
  missingIn,
  removed,
  textOf,
  within,
} from "./change.ts";
import type { Condition } from "./condition.ts";
import type { Requirement, WantedEvidence } from "./document.ts";

/** What is different in what a policy asks for. */
export function changedRequirements(before: readonly Requirement[], after: readonly Requirement[]): readonly PolicyChange[] {
  const names = [...new Set([...before, ...after].map(({ name }) => name))];
  return names.flatMap((name) => {
    const place = { path: `spec.require.${name}`, words: `requirement ${name}` };
    const [was, is] = [before, after].map((requirements) => requirements.find((requirement) => requirement.name === name));
    if (was === undefined) return is === undefined ? [] : [added(place, asked(is), is, "tighter")];
    return is === undefined ? [removed(place, asked(was), was, "looser")] : changedRequirement(place, was, is);
  });
}

/** What a requirement asks for, in words. */
function asked({ threshold, anyOf, evidence }: Requirement): string {
  switch (evidence.kind) {
    case "approvals":
      return `the demand for ${evidence.minimum} approvals`;
    case "scan-results":
      return "the demand for scan results that pass";
    case "signature":
    case "attestation":
    case "oms":
      return `the demand for ${nameOf(evidence)} by ${threshold} of ${anyOf.join(", ")}`;
  }
}

function nameOf(evidence: WantedEvidence): string {
  return evidence.kind === "attestation" ? `an attestation ${evidence.predicateType}` : `evidence of the kind ${evidence.kind}`;
}

function changedRequirement(place: Place, before: Requirement, after: Requirement): readonly PolicyChange[] {
  return [
    ...changedList(within(place, "anyOf"), { thing: "the authority", more: "looser" }, [before.anyOf, after.anyOf]),
    ...changedAmount(within(place, "threshold"), "the number of signers", [before.threshold, after.threshold], "tighter"),
    ...changedEvidence(within(place, "evidence"), before.evidence, after.evidence),
  ];
}

function changedEvidence(place: Place, before: WantedEvidence, after: WantedEvidence): readonly PolicyChange[] {
  if (before.kind !== after.kind) return changed(place, "what it asks for", [before, after], "unknown");
  return MEMBERS.flatMap((changedMember) => changedMember(place, before, after));
}

/** A member of both, if they have it. */
type ChangedMember = (place: Place, before: WantedEvidence, after: WantedEvidence) => readonly PolicyChange[];

const MEMBERS: readonly ChangedMember[] = [
  (place, before, after) =>
    "predicateType" in before && "predicateType" in after
      ? changed(within(place, "predicateType"), "the predicate type", [before.predicateType, after.predicateType], "unknown")
      : [],
  (place, before, after) =>
    "formats" in before && "formats" in after
      ? changedList(within(place, "formats"), { thing: "the format", more: "looser" }, [before.formats, after.formats])
      : [],
  (place, before, after) =>
    "where" in before && "where" in after ? changedConditions(within(place, "where"), before.where, after.where) : [],
  (place, before, after) => {
    if (!("unsignedConfig" in before && "unsignedConfig" in after)) return [];
    const effect = after.unsignedConfig ? "looser" : "tighter";
    return changed(within(place, "unsignedConfig"), "may a config go unsigned: it", [before.unsignedConfig, after.unsignedConfig], effect);
  },
  (place, before, after) =>
    "scanners" in before && "scanners" in after
      ? changedList(within(place, "scanners"), { thing: "the scanner", more: "tighter" }, [before.scanners, after.scanners])
      : [],
  (place, before, after) =>
    "minimum" in before && "minimum" in after
      ? changedAmount(within(place, "minimum"), "the number of approvals", [before.minimum, after.minimum], "tighter")
      : [],
  (place, before, after) =>
    before.kind === "approvals" && after.kind === "approvals"
      ? changedAge(within(place, "maxAgeSeconds"), before.maxAgeSeconds ?? null, after.maxAgeSeconds ?? null)
      : [],
];

/** Null: for ever. */
function changedAge(place: Place, before: number | null, after: number | null): readonly PolicyChange[] {
  const isLonger = (after ?? Number.POSITIVE_INFINITY) > (before ?? Number.POSITIVE_INFINITY);
  return changed(place, "for how many seconds an approval counts", [before, after], isLonger ? "looser" : "tighter");
}

/** A condition that is the only one of its kind, before and after, has another value; others came or went. */
function changedConditions(place: Place, before: readonly Condition[], after: readonly Condition[]): readonly PolicyChange[] {
  const [gone, come] = [missingIn(before, after), missingIn(after, before)];
  const isPair = (condition: Condition): boolean => onlyLike(condition, gone) !== undefined && onlyLike(condition, come) !== undefined;
  return [
    ...gone.flatMap((was) => {
      const is = isPair(was) ? onlyLike(was, come) : undefined;
      if (is === undefined) return [removed(place, `the condition ${conditionText(was)}`, was, "looser")];
      return changed(place, `the condition ${was.path} ${was.op}`, [valueOf(was), valueOf(is)], effectOf(was, is));
    }),
    ...come.filter((is) => !isPair(is)).map((is) => added(place, `the condition ${conditionText(is)}`, is, "tighter")),
  ];
}

function onlyLike(condition: Condition, conditions: readonly Condition[]): Condition | undefined {
  const [first, ...more] = conditions.filter(({ path, op }) => path === condition.path && op === condition.op);
  return more.length === 0 ? first : undefined;
}

function valueOf(condition: Condition): unknown {
  return "value" in condition ? condition.value : null;
}

function conditionText(condition: Condition): string {
  return [condition.path, condition.op, ...("value" in condition ? [textOf(condition.value)] : [])].join(" ");
}

function effectOf(before: Condition, after: Condition): Effect {
  if (before.op === "maxAgeSeconds" && after.op === "maxAgeSeconds") return after.value < before.value ? "tighter" : "looser";
  if (before.op === "prefix" && after.op === "prefix") return effectOfPrefix(before.value, after.value);
  if (before.op === "in" && after.op === "in") return effectOfChoices(before.value, after.value);
  return "unknown";
}

function effectOfPrefix(before: string, after: string): Effect {
  if (after.startsWith(before)) return "tighter";
  return before.startsWith(after) ? "looser" : "unknown";
}

function effectOfChoices(before: readonly unknown[], after: readonly unknown[]): Effect {
  const [gone, come] = [missingIn(before, after), missingIn(after, before)];
  if (gone.length > 0) return come.length > 0 ? "unknown" : "tighter";
  return come.length > 0 ? "looser" : "none";
}
