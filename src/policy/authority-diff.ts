import { X509Certificate } from "node:crypto";
import { digestOf } from "../oci/digest.ts";
import type { Authority, AuthorityKey, KeyAuthority, KeylessAuthority, X509Authority } from "../trust/authority.ts";
import { fingerprintOf, publicKeyFrom } from "../trust/public-key.ts";
import {
  type Effect,
  type Place,
  type PolicyChange,
  added,
  changed,
  changedAmount,
  changedList,
  isSame,
  removed,
  within,
} from "./change.ts";
import type { TrustPolicy } from "./document.ts";

type Spec = TrustPolicy["spec"];

/** What is different in the authorities of a policy. One that no requirement names decides nothing. */
export function changedAuthorities(before: Spec, after: Spec): readonly PolicyChange[] {
  const names = [...new Set([...before.authorities, ...after.authorities].map(({ name }) => name))];
  const used = new Set([...before.require, ...after.require].flatMap(({ anyOf }) => anyOf));
  return names.flatMap((name) => {
    const [was, is] = [before, after].map(({ authorities }) => authorities.find((authority) => authority.name === name));
    const changes = changedAuthority({ path: `spec.authorities.${name}`, words: `authority ${name}` }, was, is);
    return used.has(name) ? changes : changes.map((change) => ({ ...change, effect: "none" as const }));
  });
}

/** Which requirements take a new one, or no longer one that is gone, is told of them. */
function changedAuthority(place: Place, before: Authority | undefined, after: Authority | undefined): readonly PolicyChange[] {
  if (before === undefined) return after === undefined ? [] : [added(place, "it", after, "none")];
  if (after === undefined) return [removed(place, "it", before, "none")];
  if (before.type === "key" && after.type === "key") return changedKeyAuthority(place, before, after);
  if (before.type === "keyless" && after.type === "keyless") return changedKeyless(place, before, after);
  if (before.type === "x509" && after.type === "x509") return changedX509(place, before, after);
  return changed(place, "it", [before, after], "unknown");
}

function changedKeyAuthority(place: Place, before: KeyAuthority, after: KeyAuthority): readonly PolicyChange[] {
  return [
    ...changedKeys(within(place, "keys"), before.keys, after.keys),
    ...changedTrustRoot(place, before, after),
    ...changedLogs(place, before, after),
    ...changedAmount(within(place, "timestamps"), "the number of timestamps", [before.timestamps, after.timestamps], "tighter"),
  ];
}

function changedKeyless(place: Place, before: KeylessAuthority, after: KeylessAuthority): readonly PolicyChange[] {
  const identities = { thing: "the identity", more: "looser" } as const;
  return [
    ...changedList(within(place, "identities"), identities, [before.identities, after.identities]),
    ...changedTrustRoot(place, before, after),
    ...changedLogs(place, before, after),
    ...changedAmount(within(place, "ctlog"), "the number of certificate logs", [before.ctlog, after.ctlog], "tighter"),
    ...changedAmount(within(place, "timestamps"), "the number of timestamps", [before.timestamps, after.timestamps], "tighter"),
  ];
}

function changedX509(place: Place, before: X509Authority, after: X509Authority): readonly PolicyChange[] {
  const [roots, identities] = [
    { thing: "the root certificate", more: "looser" },
    { thing: "the identity", more: "looser" },
  ] as const;
  return [
    ...changedList(within(place, "roots"), roots, [before.roots.map(fingerprint), after.roots.map(fingerprint)]),
    ...changedList(within(place, "identities"), identities, [before.identities, after.identities]),
    ...changedTrustRoot(place, before, after),
    ...changedAmount(within(place, "timestamps"), "the number of timestamps", [before.timestamps, after.timestamps], "tighter"),
  ];
}

/** SHA-256 of a certificate, as decisions name it. */
function fingerprint(pem: string): string {
  return digestOf(new X509Certificate(pem).raw);
}

function changedTrustRoot(place: Place, before: Authority, after: Authority): readonly PolicyChange[] {
  return changed(within(place, "trustRoot"), "its trust root", [before.trustRoot ?? null, after.trustRoot ?? null], "unknown");
}

function changedLogs(
  place: Place,
  { tlog: before }: { readonly tlog: Logs },
  { tlog: after }: { readonly tlog: Logs },
): readonly PolicyChange[] {
  const [less, more] = [logsIn(before), logsIn(after)];
  return changed(within(place, "tlog"), "the number of log entries", [before, after], more > less ? "tighter" : "looser");
}

type Logs = number | "ignore";

function logsIn(tlog: Logs): number {
  return tlog === "ignore" ? 0 : tlog;
}

/** Keys by what they are, whatever they are called; one may be listed several times. */
function changedKeys(place: Place, before: readonly AuthorityKey[], after: readonly AuthorityKey[]): readonly PolicyChange[] {
  const [was, is] = [byFingerprint(before), byFingerprint(after)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((known) => {
    const [old, now] = [was.get(known) ?? [], is.get(known) ?? []];
    const key = { path: `${place.path}.${now[0]?.id ?? old[0]?.id ?? ""}`, words: place.words };
    const thing = `the key ${namesOf(now.length === 0 ? old : now)} (${known})`;
    if (old.length === 0) return [added(key, thing, now, "looser")];
    return now.length === 0 ? [removed(key, thing, old, "tighter")] : changedKey(key, thing, old, now);
  });
}

function byFingerprint(keys: readonly AuthorityKey[]): ReadonlyMap<string, readonly AuthorityKey[]> {
  const found = new Map<string, readonly AuthorityKey[]>();
  for (const entry of keys) {
    const key = publicKeyFrom(entry.pem);
    // The document's schema takes no other.
    if (key === undefined) continue;
    found.set(fingerprintOf(key), [...(found.get(fingerprintOf(key)) ?? []), entry]);
  }
  return found;
}

function namesOf(entries: readonly AuthorityKey[]): string {
  return entries.map(({ id }) => id).join(", ");
}

/** The times in which a key's signatures count: every entry of it has to allow them. */
function changedKey(place: Place, thing: string, before: readonly AuthorityKey[], after: readonly AuthorityKey[]): readonly PolicyChange[] {
  const [was, is] = [before.map(windowOf), after.map(windowOf)];
  if (isSame(was, is)) return changed(within(place, "id"), `the name of ${thing}`, [namesOf(before), namesOf(after)], "none");
  return changed(place, `when signatures by ${thing} count`, [was, is], effectOfWindows(was, is));
}

interface Window {
  readonly from: string | null;
  readonly to: string | null;
  readonly revoked: string | null;
}

function windowOf({ validFrom, validUntil, revokedAt }: AuthorityKey): Window {
  return { from: validFrom ?? null, to: validUntil ?? null, revoked: revokedAt ?? null };
}

function effectOfWindows([before, ...moreBefore]: readonly Window[], [after, ...moreAfter]: readonly Window[]): Effect {
  if (before === undefined || after === undefined || moreBefore.length + moreAfter.length > 0) return "unknown";
  // Two times that never come are no step apart.
  const steps = [
    timeOf(after.from, -Infinity) - timeOf(before.from, -Infinity),
    timeOf(before.to, Infinity) - timeOf(after.to, Infinity),
    timeOf(before.revoked, Infinity) - timeOf(after.revoked, Infinity),
  ].filter((step) => !Number.isNaN(step));
  if (steps.every((step) => step >= 0)) return "tighter";
  return steps.every((step) => step <= 0) ? "looser" : "unknown";
}

function timeOf(text: string | null, otherwise: number): number {
  return text === null ? otherwise : Date.parse(text);
}
