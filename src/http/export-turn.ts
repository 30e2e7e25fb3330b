import { beginWork } from "../registry/begin-work.ts";
import type { Services } from "../registry/ports.ts";
import type { Ask } from "./route.ts";

/** All of the audit log is read for one at a time; the others wait a moment, and then come again. The turn ends with the answer. */
export async function takeExportTurn({ limits }: Pick<Services, "limits">, c: Ask): Promise<void> {
  await beginWork(limits, "export");
  c.env.outgoing.once("close", () => limits.done("export"));
  if (c.env.outgoing.closed) limits.done("export");
}
