import type { Command } from "commander";
import { parseArtifactRef, refText } from "../artifact-ref.ts";
import { artifactPath, recordSchema } from "../client.ts";
import { reasonOption, withYes } from "../options.ts";
import type { OpenSession } from "../session.ts";

/** `delete`: removes an artifact's content; its record and history stay. */
export function addDelete(program: Command, open: OpenSession): void {
  const command = program
    .command("delete")
    .alias("rm")
    .summary("delete an artifact's content")
    .description("Delete an artifact with its tags. Its record and its history stay.")
    .argument("<ref>", "<repository>:<tag> or <repository>@<digest>")
    .addOption(reasonOption());
  withYes(command)
    .addHelpText("after", '\nExample:\n  securectl delete models/phi-3@sha256:0123... --reason "superseded" --yes')
    .action(async (refArgument: string, options: { readonly reason?: string; readonly yes?: boolean }, self: Command) => {
      const session = open(self);
      const ref = parseArtifactRef(refArgument, session.server);
      await session.confirm(`Delete ${refText(ref)} and its tags?`, options.yes);
      const ask = { method: "DELETE", path: artifactPath(ref), query: { reason: options.reason } } as const;
      const record = await (await session.native("operator")).request(ask, recordSchema);
      session.show(record, () => `Deleted (soft): ${record.repository}@${record.digest} - metadata retained for audit`);
    });
}
