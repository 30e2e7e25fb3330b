import { z } from "zod";
import { table } from "./output.ts";

/** A promotion decision as the registry gives it: what is printed of it, beside whatever else there is. */
export const decisionSchema = z.looseObject({
  allowed: z.boolean(),
  policy: z.string(),
  digest: z.string(),
  checks: z.array(z.looseObject({ id: z.string(), status: z.string(), message: z.string() })),
  policies: z
    .array(
      z.looseObject({
        name: z.string(),
        mode: z.string(),
        requirements: z.array(z.looseObject({ name: z.string() })),
      }),
    )
    .default([]),
  covers: z.array(z.string()).default([]),
  tags: z.looseObject({ moves: z.array(z.string()).default([]), stays: z.array(z.string()).default([]) }).optional(),
});
export type Decision = z.infer<typeof decisionSchema>;

/** The decision that a refused promotion carries, if the answer has one. */
export function refusedDecision(body: unknown): Decision | undefined {
  return z.looseObject({ decision: decisionSchema }).safeParse(body).data?.decision;
}

/** What a decision lets pass but warns of, such as what a policy in the mode `warn` asks for and is not met. */
export function decisionWarnings({ policies, checks }: Decision): readonly string[] {
  const warning = policies.filter(({ mode }) => mode === "warn");
  const required = new Set(warning.flatMap(({ name, requirements }) => requirements.map((each) => `policy/${name}/${each.name}`)));
  return checks
    .filter(({ status }) => status === "warn")
    .map(({ id, message }) => `${id}${required.has(id) ? " is not met, and only warns" : ""}: ${message}`);
}

/** A decision for people: the answer, every check, what it moves and covers. */
export function decisionText(decision: Decision): string {
  const { allowed, policy, digest, checks, covers, tags } = decision;
  const rows = checks.map(({ id, status, message }) => [status.toUpperCase(), id, message]);
  const warnings = decisionWarnings(decision).length;
  const warned = warnings === 0 ? "" : `, with ${warnings} ${warnings === 1 ? "warning" : "warnings"}`;
  const lines = [
    `Promotion is ${allowed ? "allowed" : "refused"} by ${policy}${warned}.`,
    table(["RESULT", "CHECK", "MESSAGE"], rows),
    `Tags that move: ${listText(tags?.moves)}`,
    ...((tags?.stays.length ?? 0) > 0 ? [`Tags that are promoted elsewhere and stay: ${listText(tags?.stays)} (name one by --tag)`] : []),
    `Covers: ${listText(covers)}`,
    `Decision: ${digest}`,
  ];
  return lines.join("\n");
}

function listText(items: readonly string[] | undefined): string {
  return items === undefined || items.length === 0 ? "none" : items.join(", ");
}
