import { isDigest } from "../oci/digest.ts";
import { isRepositoryName } from "../oci/reference.ts";
import { type ArtifactRef, readArtifactRef } from "./artifact-ref.ts";
import type { Role } from "./credential.ts";
import { CliError, EXIT } from "./failure.ts";
import { type Model, showModel } from "./models.ts";
import type { Session } from "./session.ts";

/** What an argument means: a name that was registered through the predecessor's API, or an artifact by its reference. */
export type Target = { readonly name: string } | { readonly ref: ArtifactRef };

/**
 * What an argument means, as the registry itself looks it up (RULES 27): an exact registered name first, then a reference. Whatever is no
 * reference can only be a name, and is not looked up here.
 */
export async function findTarget(session: Session, role: Role, text: string): Promise<Target> {
  const ref = readArtifactRef(text, session.server);
  if ("fault" in ref) return { name: text };
  if (ref.digest !== undefined) return { ref };
  const repository = await repositoryOf(session, role, text);
  return repository === undefined || repository === ref.repository ? { ref } : { name: text };
}

async function repositoryOf(session: Session, role: Role, text: string): Promise<string | undefined> {
  try {
    return (await showModel(await session.native(role), text)).repository;
  } catch (error) {
    if (error instanceof CliError && error.exit === EXIT.notFound) return undefined;
    throw error;
  }
}

/** An artifact for the native API, and the name that it was found by. */
export interface FoundRef {
  readonly ref: ArtifactRef;
  readonly name: string | undefined;
}

/** The artifact that an argument means, for commands of the native API: a name stands for the digest that it has now. */
export async function findRef(session: Session, role: Role, text: string): Promise<FoundRef> {
  const target = await findTarget(session, role, text);
  if ("ref" in target) return { ref: target.ref, name: undefined };
  const { name } = target;
  return { ref: refOfModel(await showModel(await session.native(role), name)), name };
}

/** The manifest that a name means. */
export function refOfModel({ repository, digest }: Model): ArtifactRef {
  if (repository === undefined || !isRepositoryName(repository) || digest === undefined || !isDigest(digest))
    throw new CliError(EXIT.failure, "the registry does not say which manifest that name is: is it of an older version?");
  return { repository, tag: undefined, digest };
}
