import { policyName } from "../api/policies.ts";
import type { Notation } from "../policy/document-text.ts";
import type { TrustPolicy } from "../policy/document.ts";
import { CliError, EXIT } from "./failure.ts";
import { readSmallFile } from "./read-file.ts";

const MAX_BYTES = 262_144;

/** A policy as a file has it. */
export interface PolicyFile {
  readonly bytes: Buffer;
  readonly notation: Notation;
  /** With every default filled in. */
  readonly document: TrustPolicy;
}

/**
 * Reads a policy; throws a usage error with the path and the rule for what is invalid. What reads it is loaded when it is needed: that takes
 * longer than most commands.
 */
export async function readPolicyFile(file: string): Promise<PolicyFile> {
  const bytes = await readSmallFile(file, MAX_BYTES);
  const { parsePolicy } = await import("../policy/document.ts");
  const { notationOf } = await import("../policy/document-text.ts");
  const notation = notationOf(bytes.toString("utf8"));
  try {
    return { bytes, notation, document: parsePolicy(bytes, notation) };
  } catch (error) {
    throw new CliError(EXIT.usage, error instanceof Error ? error.message : "the policy is invalid", { cause: error });
  }
}

/** Can a policy be called so? */
export function isPolicyName(text: string): boolean {
  return policyName.safeParse(text).success;
}

/** The door of a policy. */
export function policyPath(name: string): string {
  return `/v1/policies/${encodeURIComponent(name)}`;
}
