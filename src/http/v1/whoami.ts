import { readFileSync } from "node:fs";
import { z } from "zod";
import { whoamiAnswer } from "../../api/whoami.ts";
import type { Door } from "../route.ts";

/** The door that tells callers who they are, so that they need not try what they may do. */
export function whoamiDoors(): readonly Door[] {
  const version = ownVersion();
  return [
    {
      method: "GET",
      path: "/v1/whoami",
      action: "credential",
      handle: (c, { principal: { name, kind, bindings } }) => c.json(whoamiAnswer.parse({ name, kind, roles: bindings, version })),
    },
  ];
}

function ownVersion(): string {
  const content: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  return z.object({ version: z.string() }).parse(content).version;
}
