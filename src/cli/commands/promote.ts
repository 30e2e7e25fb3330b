import type { Command } from "commander";
import { parseArtifactRef } from "../artifact-ref.ts";
import { type ArtifactRecord, type NativeAsk, type NativeClient, artifactPath, recordSchema } from "../client.ts";
import { decisionText, refusedDecision } from "../decision.ts";
import { CliError } from "../failure.ts";
import { reasonOption } from "../options.ts";
import type { OpenSession, Session } from "../session.ts";
import { type PromotionOptions, promotionBody, withPromotionOptions } from "./evaluate.ts";

const HELP = `
Readers get the artifact, its referrers that the decision covers, and the tag of the ref. Other tags that are promoted elsewhere stay
where they are unless --tag names them. A refused promotion shows every check and exits with 4. What scanners said is recorded with the
decision; whether it is demanded is the registry's setting REGISTRY_PROMOTION_POLICY.

Examples:
  securectl promote models/phi-3:v1 --reason "scanned and reviewed"
  securectl promote models/phi-3:v1 --tag stable --expected sha256:0123...
  securectl promote models/phi-3:v1 --evidence-file scan.json`;

/** `promote`: makes an artifact trusted when the policy allows it. */
export function addPromote(program: Command, open: OpenSession): void {
  const command = program
    .command("promote")
    .summary("make an artifact trusted, if the policy allows it")
    .description("Make an artifact trusted, so that runtimes get it. The policy decides, whoever asks.")
    .argument("<ref>", "<repository>:<tag> or <repository>@<digest>");
  withPromotionOptions(command)
    .option("--expected <digest>", "the decision that evaluate showed: refuse when anything changed since")
    .addOption(reasonOption())
    .addHelpText("after", HELP)
    .action(async (refArgument: string, options: PromotionOptions & { expected?: string; reason?: string }, self: Command) => {
      const session = open(self);
      const ref = parseArtifactRef(refArgument, session.server);
      const body = { ...(await promotionBody(options)), expected: options.expected, reason: options.reason };
      const record = await promote(session, await session.native("operator"), { method: "POST", path: artifactPath(ref, "promote"), body });
      const tags = record.promoted_tags ?? [];
      session.show(record, () => `Promoted: ${record.repository}@${record.digest} (tags: ${tags.join(", ") || "none"})`);
    });
}

async function promote(session: Session, client: NativeClient, ask: NativeAsk): Promise<ArtifactRecord> {
  try {
    return await client.request(ask, recordSchema);
  } catch (error) {
    const decision = error instanceof CliError ? refusedDecision(error.answer?.body) : undefined;
    if (decision !== undefined) session.show(decision, () => decisionText(decision));
    throw error;
  }
}
