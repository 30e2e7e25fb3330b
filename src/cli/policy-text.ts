import type { z } from "zod";
import type { decisionAnswer } from "../api/decision.ts";
import type { PolicyView } from "../api/policies.ts";
import { shortDigest, table, timeText } from "./output.ts";

type Judged = z.infer<typeof decisionAnswer>;
type Requirement = Judged["policies"][number]["requirements"][number];

/** Policies as a table. */
export function policiesText(policies: readonly PolicyView[]): string {
  if (policies.length === 0) return "No policies: the built-in one decides.";
  const rows = policies.map(({ name, version, digest, changed_by: by, changed_at: at }) => [
    name,
    String(version),
    digest,
    by,
    timeText(at),
  ]);
  return table(["NAME", "VERSION", "DIGEST", "CHANGED BY", "SINCE"], rows);
}

/** What each check of a decision rests on, by digest. */
export function inputsText({ checks }: Judged): string {
  const rows = checks.flatMap(({ id, inputs }) => inputs.map((input, at) => [at === 0 ? id : "", input]));
  return rows.length === 0 ? "No check rests on anything." : table(["CHECK", "RESTS ON"], rows);
}

/** What the written policies said in a decision: who signed what each requirement asks for, and why other evidence does not count. */
export function judgedText({ policies, evidence }: Judged): string {
  if (policies.length === 0) return "No written policy matches this repository.";
  const found = `Evidence: ${evidence.considered} considered, ${evidence.not_considered} left out by the bounds, ${evidence.skipped.length + evidence.skipped_more} not read.`;
  const blocks = policies.map(({ name, version, digest, mode, requirements }) => {
    const rows = requirements.flatMap(rowsOf);
    return `Policy ${name}@${version} (${mode}), ${digest}\n${table(["RESULT", "REQUIREMENT", "EVIDENCE", "BY", "WHY"], rows)}`;
  });
  const skipped = evidence.skipped.map(({ manifest, code, message }) => [shortDigest(manifest), code, message]);
  return [...blocks, found, ...(skipped.length === 0 ? [] : [table(["NOT READ", "CODE", "WHY"], skipped)])].join("\n\n");
}

function rowsOf({ name, met, message, accepted, rejected, rejected_more: more }: Requirement): readonly (readonly string[])[] {
  return [
    [met ? "MET" : "NOT MET", name, "", "", message],
    ...accepted.map(({ authority, signer, manifest, signed, holds_until: until }) => [
      "  counts",
      "",
      shortDigest(manifest),
      `${authority}: ${signer.type === "key" ? signer.id : signer.subject}`,
      `signed ${shortDigest(signed)}${until === null ? "" : `, holds until ${timeText(until)}`}`,
    ]),
    ...rejected.map(({ authority, manifest, code, message: why }) => [
      "  refused",
      "",
      shortDigest(manifest),
      authority ?? "",
      `${code}: ${why}`,
    ]),
    ...(more > 0 ? [["  refused", "", "", "", `and ${more} more`]] : []),
  ];
}
