import type { Command } from "commander";
import { z } from "zod";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import type { OpenSession } from "../session.ts";

const healthSchema = z.looseObject({ status: z.string() });

/** `status`: is the registry well, and does it know us? */
export function addStatus(program: Command, open: OpenSession): void {
  program
    .command("status")
    .summary("show whether the registry is well, and whether it takes your credential")
    .description("Show the registry's health and whether it accepts the credential that other commands would use.")
    .addHelpText("after", "\nExample:\n  REGISTRY_URL=https://registry.example securectl status")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const credential = await session.credential("operator", false);
      const client = await session.native("operator");
      const health = await healthOf(client);
      const accepted = credential === undefined ? null : await isAccepted(client);
      const source = credential?.source ?? null;
      session.terminal.printJson({ registry: session.server.origin, credential: { source, accepted }, ...health });
      if (accepted === false) throw new CliError(EXIT.authentication, `The registry is up, but refuses the credential of ${source ?? ""}.`);
    });
}

/** Asked of a door that is open to any credential: health tells programs of the same machine the same with a wrong one. */
async function isAccepted(client: NativeClient): Promise<boolean> {
  try {
    await client.request({ method: "GET", path: "/v1/artifacts", query: { limit: 1 } }, z.unknown());
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exit === EXIT.authentication) return false;
    throw error;
  }
}

async function healthOf(client: NativeClient): Promise<z.infer<typeof healthSchema>> {
  try {
    return await client.request({ method: "GET", path: "/health" }, healthSchema);
  } catch (error) {
    if (!(error instanceof CliError) || error.exit !== EXIT.unavailable) throw error;
    const what = error.answer === undefined ? "unreachable" : `unhealthy: HTTP ${error.answer.status}`;
    throw new CliError(EXIT.unavailable, `Registry ${what}: ${error.message}`, { cause: error });
  }
}
