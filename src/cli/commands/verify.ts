import type { Command } from "commander";
import { z } from "zod";
import { CliError, EXIT } from "../failure.ts";
import { requestModel } from "../models.ts";
import { refArgument } from "../options.ts";
import { whileWaiting } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";
import { failedSchema, failureText } from "../verification.ts";
import { visible } from "../visible.ts";

/** Members are text, as the predecessor's. */
const verifiedSchema = z.looseObject({ status: z.literal("verified"), sha256: z.string(), state: z.string(), safe_to_use: z.string() });
type Verified = z.infer<typeof verifiedSchema>;

const HELP = `
All bytes are read and hashed again. It exits with 0 when they are those that were recorded and the artifact is trusted, with 1 when
they are but it is not, with 6 when they are not.

Examples:
  securectl verify "Phi-3 Mini (Q4)"
  securectl verify models/phi-3:v1 --json`;

/** `verify`: are the bytes of an artifact still those that were recorded? */
export function addVerify(program: Command, open: OpenSession): void {
  program
    .command("verify")
    .summary("hash an artifact's bytes again")
    .description("Hash the bytes of an artifact again, and tell whether it is safe to use.")
    .addArgument(refArgument())
    .addHelpText("after", HELP)
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const client = await session.native("service-token");
      const ask = { method: "POST", path: "/v1/model/verify", name, body: {}, time: "patient" } as const;
      const asked = whileWaiting(session.terminal, `verifying ${name}`, requestModel(client, ask, verifiedSchema));
      const found = await asked.catch((error: unknown) => failed(session, name, error));
      session.show(found, () => verifiedText(name, found));
      if (found.safe_to_use !== "true") throw new CliError(EXIT.failure, "the bytes are right, but the artifact is not trusted");
    });
}

function verifiedText(name: string, { sha256, state, safe_to_use: safe }: Verified): string {
  const line = `VERIFIED: ${visible(name)} (sha256=${sha256}, state=${state})`;
  return safe === "true" ? line : `${line}\n  WARNING: model is not safe to use (state=${state})`;
}

/** The answer that says so comes as a refusal. */
function failed(session: Session, name: string, error: unknown): never {
  const found = failedSchema.safeParse(error instanceof CliError ? error.answer?.body : undefined).data;
  if (found === undefined) throw error;
  session.show(found, () => failureText({ ...found, name }));
  throw new CliError(EXIT.integrity, found.error, { cause: error });
}
