import { z } from "zod";
import { isRepositoryName } from "../oci/reference.ts";
import type { NativeAsk, NativeClient } from "./client.ts";
import { CliError, EXIT } from "./failure.ts";

/** An artifact as the predecessor's API shows it: what is printed of it, beside whatever else there is. */
export const modelSchema = z.looseObject({
  name: z.string(),
  format: z.string(),
  sha256: z.string(),
  size_bytes: z.number(),
  promoted_at: z.string().default(""),
  state: z.string(),
  /** Which manifest it is; the predecessor did not know any. */
  repository: z.string().optional(),
  digest: z.string().optional(),
});
export type Model = z.infer<typeof modelSchema>;

/** What revoke and delete of a name answer. */
export const modelStatusSchema = z.looseObject({ name: z.string(), status: z.string() });

type ModelAsk = Omit<NativeAsk, "query"> & { readonly name: string };

/** Asks a door of the predecessor's API for the artifact of a name. Throws NOT_FOUND in its client's words. */
export async function requestModel<T>(client: NativeClient, { name, ...ask }: ModelAsk, schema: z.ZodType<T>): Promise<T> {
  try {
    return await client.request({ ...ask, query: { name } }, schema);
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    // Most names are no repositories: whoever gives one may have forgotten its tag.
    const hint = name.includes("/") && isRepositoryName(name) ? "; a reference needs a :tag or an @digest" : "";
    throw new CliError(EXIT.notFound, `model ${JSON.stringify(name)} not found${hint}`, { cause: error });
  }
}

/** The record of a name. Throws NOT_FOUND. */
export async function showModel(client: NativeClient, name: string): Promise<Model> {
  return requestModel(client, { method: "GET", path: "/v1/model", name, time: "bounded" }, modelSchema);
}

/** With which status the registry refused; undefined when it was not the registry. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof CliError ? error.answer?.status : undefined;
}
