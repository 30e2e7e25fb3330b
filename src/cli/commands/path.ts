import type { Command } from "commander";
import { z } from "zod";
import { CliError, EXIT } from "../failure.ts";
import { requestModel, statusOf } from "../models.ts";
import { refArgument } from "../options.ts";
import type { OpenSession } from "../session.ts";

const pathSchema = z.looseObject({ path: z.string().startsWith("/") });

const HELP = `
The file lies below the registry's data directory, on the registry's machine; where an artifact has several files, the path is their
folder. Whoever opens it should not follow links, and check its size and digest (--json shows them).

Examples:
  securectl path phi-3
  llama-server --model "$(securectl path phi-3)"`;

/** `path`: where a trusted artifact's bytes lie. */
export function addPath(program: Command, open: OpenSession): void {
  program
    .command("path")
    .summary("show where a trusted artifact's file lies")
    .description("Print the path of a trusted artifact's file on the registry's machine, and nothing of one that is not trusted.")
    .addArgument(refArgument())
    .addHelpText("after", HELP)
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const ask = { method: "GET", path: "/v1/model/path", name, time: "bounded" } as const;
      const found = await requestModel(await session.native("service-token"), ask, pathSchema).catch((error: unknown) => {
        throw isUntrusted(error)
          ? new CliError(EXIT.denied, `model ${JSON.stringify(name)} is not in trusted state`, { cause: error })
          : error;
      });
      session.show(found, () => found.path);
    });
}

/** The predecessor's client took a refused credential for it, too. */
function isUntrusted(error: unknown): boolean {
  return statusOf(error) === 403 && error instanceof CliError && /\bstate\b.*\btrusted\b/.test(error.message);
}
