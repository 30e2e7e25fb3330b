import type { Command } from "commander";
import { z } from "zod";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { statusOf } from "../models.ts";
import { withSortedKeys } from "../output.ts";
import type { OpenSession } from "../session.ts";

const healthSchema = z.looseObject({ status: z.string() });
type Health = z.infer<typeof healthSchema>;

/** `status`: is the registry well? */
export function addStatus(program: Command, open: OpenSession): void {
  program
    .command("status")
    .summary("show whether the registry is well")
    .description("Show the registry's health as JSON. No credential is sent; doctor tells whether yours is right.")
    .addHelpText("after", "\nExample:\n  REGISTRY_URL=https://registry.example securectl status")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      session.terminal.printJson(withSortedKeys(await healthOf(session.nobody())));
    });
}

/** The registry's health as a caller without a credential is told it; throws in the predecessor's words. */
async function healthOf(client: NativeClient): Promise<Health> {
  try {
    return await client.request({ method: "GET", path: "/health", time: "bounded" }, healthSchema);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const status = statusOf(error);
    const what = status === undefined ? `Registry unreachable: ${error.message}` : `Registry unhealthy: HTTP ${status}`;
    throw new CliError(status === undefined ? error.exit : EXIT.unavailable, what, { cause: error });
  }
}
