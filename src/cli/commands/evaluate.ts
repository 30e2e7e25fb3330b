import type { Command } from "commander";
import { artifactPath } from "../client.ts";
import { decisionSchema, decisionText } from "../decision.ts";
import { CliError, EXIT } from "../failure.ts";
import { asText, collect, refArgument } from "../options.ts";
import { type ScanOptions, scanBody, withScanOptions } from "../scan-options.ts";
import type { OpenSession } from "../session.ts";
import { type FoundRef, findRef } from "../target.ts";

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
    .addArgument(refArgument());
  withPromotionOptions(command)
    .addHelpText("after", HELP)
    .action(async (text: string, options: PromotionOptions, self: Command) => {
      const session = open(self);
      const found = await findRef(session, "operator", text);
      const path = artifactPath(found.ref, "evaluate");
      const ask = { method: "POST", path, body: await promotionBody(options, found), time: "patient" } as const;
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

/** The tag that moves with what a name means, as it does at the predecessor's own door. */
const TAG_OF_NAMES = "latest";

/** The members of a request that those options stand for. */
export async function promotionBody(
  { tag, cover, evidence, ...scan }: PromotionOptions,
  { name }: Pick<FoundRef, "name">,
): Promise<Record<string, unknown>> {
  const tags = name === undefined ? tag : [...new Set([TAG_OF_NAMES, ...tag])];
  return {
    ...(await scanBody(scan)),
    ...(tags.length > 0 && { tags }),
    ...(cover.length > 0 && { covers: cover }),
    ...(evidence.length > 0 && { evidence }),
  };
}
