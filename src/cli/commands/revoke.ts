import type { Command } from "commander";
import { parseArtifactRef, refText } from "../artifact-ref.ts";
import { artifactPath, recordSchema } from "../client.ts";
import { reasonOption, withYes } from "../options.ts";
import type { OpenSession } from "../session.ts";

interface RevokeOptions {
  readonly reason: string;
  readonly permanent?: boolean;
  readonly everywhere?: boolean;
  readonly yes?: boolean;
}

const HELP = `
Whoever could pull it is told the reason. Downloads that are under way are cut. Without --permanent it can be promoted again by
somebody who may reinstate.

Examples:
  securectl revoke models/phi-3:v1 --reason "poisoned tokenizer"
  securectl revoke models/phi-3@sha256:0123... --reason "CVE-2026-0001" --everywhere --permanent --yes`;

/** `revoke`: takes an artifact back, at every door at once. */
export function addRevoke(program: Command, open: OpenSession): void {
  const command = program
    .command("revoke")
    .summary("take an artifact back, at once")
    .description("Revoke an artifact: from now on nobody gets it.")
    .argument("<ref>", "<repository>:<tag> or <repository>@<digest>")
    .addOption(reasonOption().makeOptionMandatory())
    .option("--permanent", "for good: no promotion can lift it")
    .option("--everywhere", "in every repository, and for every later push of it");
  withYes(command)
    .addHelpText("after", HELP)
    .action(async (refArgument: string, { reason, permanent, everywhere, yes }: RevokeOptions, self: Command) => {
      const session = open(self);
      const ref = parseArtifactRef(refArgument, session.server);
      const how = `${permanent === true ? " permanently" : ""}${everywhere === true ? " in every repository" : ""}`;
      await session.confirm(`Revoke ${refText(ref)}${how}?`, yes);
      const ask = { method: "POST", path: artifactPath(ref, "revoke"), body: { reason, permanent, everywhere } } as const;
      const record = await (await session.native("operator")).request(ask, recordSchema);
      session.show(record, () => `Revoked: ${record.repository}@${record.digest}`);
    });
}
