import type { Actor } from "./reference-model.ts";

/** What roles let somebody read and do in a namespace that they hold in, by identity.md 6.2 and RULES 14. */

export const NOBODY: Actor = {
  name: "",
  pull: false,
  pullAny: false,
  forensic: false,
  followsPushes: true,
  pushAny: false,
  quarantine: false,
  promote: false,
  revoke: false,
  revokeEverywhere: false,
  reinstate: false,
  delete: "nothing",
};
export const READER: Actor = { ...NOBODY, pull: true };
export const PUBLISHER: Actor = { ...READER, pullAny: true, quarantine: true, delete: "own" };
export const MAINTAINER: Actor = { ...PUBLISHER, pushAny: true, delete: "others" };
export const REVIEWER: Actor = { ...READER, pullAny: true, forensic: true, quarantine: true, promote: true, revoke: true };
export const SCANNER: Actor = { ...READER, pullAny: true, forensic: true, quarantine: true, followsPushes: false };
export const OPERATOR: Actor = { ...REVIEWER, revokeEverywhere: true, reinstate: true, delete: "any" };
