import type { Command } from "commander";
import { artifactPath, recordSchema } from "../client.ts";
import { decisionSchema, decisionText, decisionWarnings, refusedDecision } from "../decision.ts";
import { CliError } from "../failure.ts";
import { reasonOption, refArgument } from "../options.ts";
import { whileWaiting } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";
import { findRef } from "../target.ts";
import { type PromotionOptions, promotionBody, withPromotionOptions } from "./evaluate.ts";

const HELP = `
Readers get the artifact, its referrers that the decision covers, and the tag of the ref. Other tags that are promoted elsewhere stay
where they are unless --tag names them. A refused promotion shows every check and exits with 4. What a policy in the mode warn asks for
and is not met is told on stderr, and does not refuse. What scanners said is recorded with the decision; whether it is demanded is the
registry's setting REGISTRY_PROMOTION_POLICY.

Examples:
  securectl promote models/phi-3:v1 --reason "scanned and reviewed"
  securectl promote models/phi-3:v1 --tag stable --expected sha256:0123...
  securectl promote models/phi-3:v1 --evidence-file scan.json`;

const promotedSchema = recordSchema.extend({ decision: decisionSchema.nullish() });

/** `promote`: makes an artifact trusted when the policy allows it. */
export function addPromote(program: Command, open: OpenSession): void {
  const command = program
    .command("promote")
    .summary("make an artifact trusted, if the policy allows it")
    .description("Make an artifact trusted, so that runtimes get it. The policy decides, whoever asks.")
    .addArgument(refArgument());
  withPromotionOptions(command)
    .option("--expected <digest>", "the decision that evaluate showed: refuse when anything changed since")
    .addOption(reasonOption())
    .addHelpText("after", HELP)
    .action(async (text: string, options: PromotionOptions & { expected?: string; reason?: string }, self: Command) => {
      const session = open(self);
      const found = await findRef(session, "operator", text);
      const body = { ...(await promotionBody(options, found)), expected: options.expected, reason: options.reason };
      const ask = { method: "POST", path: artifactPath(found.ref, "promote"), body, time: "patient" } as const;
      const client = await session.native("operator");
      const record = await whileWaiting(session.terminal, `promoting ${text}`, client.request(ask, promotedSchema)).catch(
        (error: unknown) => refused(session, error),
      );
      const tags = record.promoted_tags ?? [];
      session.show(record, () => `Promoted: ${record.repository}@${record.digest} (tags: ${tags.join(", ") || "none"})`);
      if (record.decision) for (const warning of decisionWarnings(record.decision)) session.terminal.warn(`warning: ${warning}`);
    });
}

function refused(session: Session, error: unknown): never {
  const decision = error instanceof CliError ? refusedDecision(error.answer?.body) : undefined;
  if (decision !== undefined) session.show(decision, () => decisionText(decision));
  throw error;
}
