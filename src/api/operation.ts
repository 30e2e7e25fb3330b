import type { z } from "zod";
import type { ErrorCode } from "../oci/errors.ts";

/** Who gets in at a door, in the words of the doors themselves; `recognised`: anyone, but who has a credential is told more. */
export type Access =
  | "open"
  | "recognised"
  | "credential"
  | { readonly registered: "read" | "change" }
  | { readonly permission: string; readonly on: "registry" };

/** What an operation belongs to: a chapter of the published document. */
type Chapter = "artifacts" | "models" | "audit" | "administration" | "health";

/** Parameters by name. */
export type Parameters = Readonly<Record<string, z.ZodType>>;

/** One door as whoever writes a client has to know it. */
export interface Operation {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Parameters stand in braces, as OpenAPI writes them. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly chapter: Chapter;
  readonly access: Access;
  /** The permission of identity.md 6.1 that it takes beside a credential. */
  readonly permission?: string;
  readonly inPath?: Parameters;
  readonly query?: Parameters;
  readonly headers?: Parameters;
  readonly body?: { readonly schema: z.ZodType; readonly required: boolean };
  /** Changes nothing, whatever its method. */
  readonly isReading?: boolean;
  /** Tells of this process alone, or of what it found out before: nothing behind the door can fail. */
  readonly standsAlone?: boolean;
  /** What it answers when it does what it is there for, by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** How it refuses, beside the ways that all doors of its kind have. */
  readonly refuses: readonly ErrorCode[];
}

/** An answer in JSON, or in a kind of it. */
export interface Answer {
  readonly says: string;
  readonly schema: z.ZodType;
  readonly mediaType?: "application/problem+json";
}

/** Does this operation speak as the predecessor did, whose errors are text or `{"error"}`? */
export function speaksPredecessor({ access }: Operation): boolean {
  return typeof access === "object" && "registered" in access;
}

/** All codes with which an operation may be refused. */
export function refusalsOf(operation: Operation): ReadonlySet<ErrorCode> {
  const behind = operation.standsAlone === true ? [] : FAILURES;
  return new Set([...MALFORMED, ...behind, ...byAccess(operation), ...byMethod(operation), ...operation.refuses]);
}

const MALFORMED: readonly ErrorCode[] = ["INVALID", "URL_TOO_LONG", "HEADERS_TOO_LARGE"];
const FAILURES: readonly ErrorCode[] = ["INTERNAL", "STORAGE_FAILED", "UNAVAILABLE"];

function byAccess({ access, method }: Operation): readonly ErrorCode[] {
  if (access === "open") return [];
  // An upload that was admitted never gets a 429, and whatever else comes by PUT neither.
  const limited: readonly ErrorCode[] = method === "PUT" ? [] : ["TOO_MANY_REQUESTS"];
  if (access === "recognised") return limited;
  if (access === "credential") return ["UNAUTHORIZED", ...limited];
  return "registered" in access ? ["DENIED", ...limited] : ["UNAUTHORIZED", "DENIED", ...limited];
}

function byMethod({ method, body, isReading = method === "GET" }: Operation): readonly ErrorCode[] {
  const read: readonly ErrorCode[] = body === undefined ? [] : ["TOO_LARGE", "TOO_SLOW"];
  return isReading ? read : [...read, "STORAGE_FULL"];
}
