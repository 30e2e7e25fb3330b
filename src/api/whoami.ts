import { z } from "zod";

/** Answer of `GET /v1/whoami`: whose credential it was that the caller showed, with what rights, and to which version of the registry. */
export const whoamiAnswer = z.strictObject({
  name: z.string(),
  kind: z.enum(["human", "service", "service-token"]),
  roles: z
    .array(z.strictObject({ role: z.string(), namespace: z.string().describe("* for all") }))
    .describe("none for the service token, which has its predecessor's rights"),
  version: z.string(),
});
export type WhoamiAnswer = z.infer<typeof whoamiAnswer>;
