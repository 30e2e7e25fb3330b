import type { Command } from "commander";
import { artifactPath, recordSchema } from "../client.ts";
import { reasonOption, refArgument } from "../options.ts";
import type { OpenSession } from "../session.ts";
import { findRef } from "../target.ts";

/** `quarantine`: holds an artifact for scanning. */
export function addQuarantine(program: Command, open: OpenSession): void {
  program
    .command("quarantine")
    .summary("hold an artifact for scanning")
    .description("Hold an acquired artifact in quarantine. What is served already is not quarantined but revoked.")
    .addArgument(refArgument())
    .addOption(reasonOption())
    .addHelpText("after", '\nExample:\n  securectl quarantine models/phi-3:v1 --reason "waiting for the scan"')
    .action(async (text: string, options: { readonly reason?: string }, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "operator", text);
      const ask = { method: "POST", path: artifactPath(ref, "quarantine"), body: { reason: options.reason } } as const;
      const record = await (await session.native("operator")).request(ask, recordSchema);
      session.show(record, () => `Quarantined: ${record.repository}@${record.digest}`);
    });
}
