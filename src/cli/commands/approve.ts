import type { Command } from "commander";
import { artifactPath, recordSchema } from "../client.ts";
import { reasonOption, refArgument } from "../options.ts";
import type { OpenSession } from "../session.ts";
import { findRef } from "../target.ts";

/** `approve`: a reviewer's word for an artifact. */
export function addApprove(program: Command, open: OpenSession): void {
  program
    .command("approve")
    .summary("approve an artifact as reviewer")
    .description("Approve an artifact, as its policy may ask for before a promotion. Who pushed it cannot approve it.")
    .addArgument(refArgument())
    .addOption(reasonOption())
    .addHelpText("after", '\nExample:\n  securectl approve models/phi-3:v1 --reason "model card and scan read"')
    .action(async (text: string, options: { readonly reason?: string }, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "operator", text);
      const client = await session.native("operator");
      const ask = { method: "POST", path: artifactPath(ref, "approve"), body: { reason: options.reason } } as const;
      const record = await client.request(ask, recordSchema);
      session.show(record, () => `Approved: ${record.repository}@${record.digest}`);
    });
}
