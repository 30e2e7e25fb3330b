import { readSecretFile } from "../storage/secret-file.ts";

/** Where the predecessor kept its token when it was told nothing else. */
const PREDECESSORS_PATH = "/run/secure-ai/service-token";

export interface ServiceTokenPlace {
  readonly path: string;
  /** May the first start make the file? One that was named is never made (RULES 21), nor any in the development mode. */
  readonly makable: boolean;
}

/** Where the service token is looked for: the configured path; else the predecessor's, when there is a file; else our own (RULES 21). */
export async function placeOfServiceToken(
  configured: string | undefined,
  ownPath: string,
  predecessorsPath = PREDECESSORS_PATH,
): Promise<ServiceTokenPlace> {
  if (configured !== undefined) return { path: configured, makable: false };
  if ((await readSecretFile(predecessorsPath)) !== undefined) return { path: predecessorsPath, makable: false };
  return { path: ownPath, makable: true };
}
