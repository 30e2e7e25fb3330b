import type { Command } from "commander";
import { parseArtifactRef } from "../artifact-ref.ts";
import { artifactPath } from "../client.ts";
import { decisionSchema, decisionText } from "../decision.ts";
import { CliError, EXIT } from "../failure.ts";
import { asText, collect } from "../options.ts";
import { type ScanOptions, scanBody, withScanOptions } from "../scan-options.ts";
import type { OpenSession } from "../session.ts";

/** What a promotion may name beside the artifact. */
export interface PromotionOptions extends ScanOptions {
  readonly tag: readonly string[];
  readonly cover: readonly string[];
  readonly evidence: readonly string[];
}

const HELP = `
Nothing changes. The exit code is 0 when the promotion would be allowed, 4 when it would be refused. Give the decision's digest to
promote --expected, with the same scan evidence, to promote exactly what was shown.

Examples:
  securectl evaluate models/phi-3:v1
  securectl evaluate models/phi-3:v1 --policy-version 2026-03 --scan modelscan=pass --scanner-version modelscan=0.8.5`;

/** `evaluate`: the decision that promote would take now. */
export function addEvaluate(program: Command, open: OpenSession): void {
  const command = program
    .command("evaluate")
    .summary("show the decision that promote would take now")
    .description("Show the decision that a promotion would take now: every check, the tags that would move and what would be covered.")
    .argument("<ref>", "<repository>:<tag> or <repository>@<digest>");
  withPromotionOptions(command)
    .addHelpText("after", HELP)
    .action(async (refArgument: string, options: PromotionOptions, self: Command) => {
      const session = open(self);
      const ref = parseArtifactRef(refArgument, session.server);
      const ask = { method: "POST", path: artifactPath(ref, "evaluate"), body: await promotionBody(options) } as const;
      const decision = await (await session.native("operator")).request(ask, decisionSchema);
      session.show(decision, () => decisionText(decision));
      if (!decision.allowed) throw new CliError(EXIT.denied, "A promotion would be refused.");
    });
}

/** Adds the options that evaluate and promote share. */
export function withPromotionOptions(command: Command): Command {
  return withScanOptions(
    command
      .option("--tag <tag>", "also move this tag, which is promoted elsewhere; may be given often", collect(asText), [])
      .option("--cover <digest>", "also serve this referrer with the artifact; may be given often", collect(asText), [])
      .option("--evidence <digest>", "consider this evidence first; may be given often", collect(asText), []),
  );
}

/** The members of a request that those options stand for. */
export async function promotionBody({ tag, cover, evidence, ...scan }: PromotionOptions): Promise<Record<string, unknown>> {
  return {
    ...(await scanBody(scan)),
    ...(tag.length > 0 && { tags: tag }),
    ...(cover.length > 0 && { covers: cover }),
    ...(evidence.length > 0 && { evidence }),
  };
}
