import type { Command } from "commander";
import { z } from "zod";
import { CliError, EXIT } from "../failure.ts";
import { requestModel, statusOf } from "../models.ts";
import { refArgument } from "../options.ts";
import { whileWaiting } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";
import { visible, visibleLines } from "../visible.ts";

const verifiedSchema = z.looseObject({ status: z.literal("verified"), detail: z.string() });
const skippedSchema = z.looseObject({ status: z.literal("skipped"), reason: z.string() });
const answerSchema = z.discriminatedUnion("status", [verifiedSchema, skippedSchema]);
const failedSchema = z.looseObject({ status: z.literal("failed"), error: z.string() });

const HELP = `
It exits with 0 when all tensors are those of the manifest, and when the artifact has no manifest, of which it says so; with 6 when a
tensor differs, or when the bytes or the manifest are not those that were recorded.

Example:
  securectl verify-manifest "Phi-3 Mini (Q4)"`;

/** `verify-manifest`: does every tensor of a model have the digest that its tensor manifest says? */
export function addVerifyManifest(program: Command, open: OpenSession): void {
  program
    .command("verify-manifest")
    .summary("compare a model's tensors with its tensor manifest")
    .description("Compare every tensor of a model with the tensor manifest that was named when it was promoted.")
    .addArgument(refArgument())
    .addHelpText("after", HELP)
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const client = await session.native("service-token");
      const ask = { method: "POST", path: "/v1/model/verify-manifest", name, body: {}, time: "patient" } as const;
      const asked = whileWaiting(session.terminal, `verifying ${name}`, requestModel(client, ask, answerSchema));
      const found = await asked.catch((error: unknown) => failed(session, name, error));
      session.show(found, () =>
        found.status === "verified"
          ? `VERIFIED: ${visible(name)} (${visible(found.detail)})`
          : `SKIPPED: ${visible(name)} (${visible(found.reason)})`,
      );
    });
}

/** Every conflict means that the model could not be shown to be the one of its manifest. */
function failed(session: Session, name: string, error: unknown): never {
  if (!(error instanceof CliError) || statusOf(error) !== 409) throw error;
  const found = failedSchema.safeParse(error.answer?.body).data;
  if (found !== undefined) session.show(found, () => `FAILED: ${visible(name)}\n${indented(found.error)}`);
  throw new CliError(EXIT.integrity, found === undefined ? error.message : "the model is not the one of its manifest", { cause: error });
}

function indented(lines: string): string {
  return visibleLines(lines)
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
