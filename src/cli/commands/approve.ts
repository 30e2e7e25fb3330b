import type { Command } from "commander";
import { type NativeAsk, artifactPath, recordSchema } from "../client.ts";
import { reasonOption, refArgument } from "../options.ts";
import type { OpenSession } from "../session.ts";
import { findRef } from "../target.ts";

const HELP = `
What you say is signed by the registry and listed with the artifact. It counts until you take it back, or the artifact is revoked, or deleted
and pushed again; and for as long as the policy says.

Examples:
  securectl approve models/phi-3:v1 --reason "model card and scan read"
  securectl approve models/phi-3:v1 --withdraw --reason "the licence is not what the card says"`;

interface ApproveOptions {
  readonly reason?: string;
  readonly withdraw?: boolean;
}

/** `approve`: a reviewer's word for an artifact, and its withdrawal. */
export function addApprove(program: Command, open: OpenSession): void {
  program
    .command("approve")
    .summary("approve an artifact as reviewer")
    .description("Approve an artifact, as its policy may ask for before a promotion. Who pushed it cannot approve it.")
    .addArgument(refArgument())
    .addOption(reasonOption())
    .option("--withdraw", "take your approval back: no promotion counts it from now on")
    .addHelpText("after", HELP)
    .action(async (text: string, { reason, withdraw }: ApproveOptions, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "operator", text);
      const path = artifactPath(ref, "approve");
      const ask: NativeAsk = withdraw === true ? { method: "DELETE", path, query: { reason } } : { method: "POST", path, body: { reason } };
      const record = await (await session.native("operator")).request(ask, recordSchema);
      session.show(record, () => `${withdraw === true ? "Withdrawn" : "Approved"}: ${record.repository}@${record.digest}`);
    });
}
