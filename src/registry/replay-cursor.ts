import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import type { Services } from "./ports.ts";
import type { ReplayPlace } from "./replay-places.ts";

/** Which replay a cursor belongs to. */
export interface Replayed {
  /** The principal's name. */
  readonly by: string;
  readonly policy: Digest;
  readonly repositories: string;
}

type Needs = Pick<Services, "secretFor">;

const placeSchema = z.tuple([repositoryNameSchema, digestSchema.nullable()]);

/** Where the next page of a replay begins: good for this replay alone, so that each of them has begun with a first page, which is audited. */
export function replayCursor(needs: Needs, replayed: Replayed, { repository, digest }: ReplayPlace): string {
  const place = Buffer.from(JSON.stringify([repository, digest])).toString("base64url");
  return `${place}.${macOf(needs, replayed, place)}`;
}

/** The place that a cursor means. Throws INVALID for that of another replay, and for what is none. */
export function parseReplayCursor(needs: Needs, replayed: Replayed, cursor: string): ReplayPlace {
  const [place = "", mac = ""] = cursor.split(".");
  const [given, right] = [Buffer.from(mac), Buffer.from(macOf(needs, replayed, place))];
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    throw new RegistryError("INVALID", "cursor must be the `next` of the page before, of the same policy and the same repositories");
  }
  const [repository, digest] = placeSchema.parse(JSON.parse(Buffer.from(place, "base64url").toString("utf8")));
  return { repository, digest };
}

function macOf({ secretFor }: Needs, { by, policy, repositories }: Replayed, place: string): string {
  return createHmac("sha256", secretFor("replay-cursor"))
    .update(JSON.stringify([place, by, policy, repositories]))
    .digest("base64url");
}
