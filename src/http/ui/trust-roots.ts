import { type RevokedAuthorityView, revokeAuthorityRequest, revokedAuthority } from "../../api/authorities.ts";
import { isDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { type KnownRevocation, authorityRevocations } from "../../registry/authority-revocations.ts";
import { endTrustRoots } from "../../registry/end-trust-root.ts";
import type { Caller } from "../../registry/ports.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import { liftAuthority, revokeAuthority } from "../../registry/revoke-authority.ts";
import { listTrustRootUpdates } from "../../registry/trust-root-updates.ts";
import { listTrustRoots } from "../../registry/trust-roots.ts";
import { type ListedAuthority, type ListedRoot, trustPage } from "../../ui/trust-roots.ts";
import { conform } from "../body.ts";
import type { Ask, Door } from "../route.ts";
import { demandedReason, field } from "./form.ts";
import { type Pages, redirect } from "./page.ts";
import { demandPolicyRight, policyHindrance } from "./policy-right.ts";
import { formOf, viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

const MAX_ROOTS = 15;
const MAX_AUTHORITIES = 12;

/** The page of trust roots and revoked publishers, and what changes them: by the use cases of `/v1`. */
export function trustPageDoors(services: StatingServices, pages: Pages): readonly Door[] {
  return [
    { method: "GET", path: "/ui/trust", action: "session", handle: (c, caller) => show(services, pages, c, caller) },
    change("roots/end", "ended", async (form, caller) => {
      const digest = digestIn(form, "digest");
      await endTrustRoots(services, caller, { name: field(form, "name") ?? "", digest });
    }),
    change("revoke", "revoked", async (form, caller) => {
      const from = textIn(form, "from");
      const asked = { authority: authorityIn(form), ...(from !== "" && { from }), reason: demandedReason(form) };
      const { authority, from: since, reason } = conform(revokeAuthorityRequest, asked);
      await revokeAuthority(services, caller, { authority, from: since === undefined ? null : Date.parse(since), reason });
    }),
    change("lift", "lifted", async (form, caller) => {
      await liftAuthority(services, caller, digestIn(form, "statement"), demandedReason(form));
    }),
  ];
}

function change(below: string, done: string, act: (form: URLSearchParams, caller: Caller) => Promise<void>): Door {
  return {
    method: "POST",
    path: `/ui/trust/${below}`,
    action: "session",
    handle: async (c, caller) => {
      demandPolicyRight(caller);
      await act(formOf(c), caller);
      return redirect(c, `/ui/trust?done=${done}`);
    },
  };
}

async function show(services: StatingServices, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  const roots = await rootsOf(services);
  const revoked = await authorityRevocations(services);
  const [rootsFrom, revokedFrom] = [numberIn(c, "roots"), numberIn(c, "revoked")];
  const main = trustPage({
    roots: roots.slice(rootsFrom, rootsFrom + MAX_ROOTS),
    nextRoots: rootsFrom + MAX_ROOTS < roots.length ? rootsFrom + MAX_ROOTS : undefined,
    authorities: revoked.slice(revokedFrom, revokedFrom + MAX_AUTHORITIES).map(listed),
    nextAuthorities: revokedFrom + MAX_AUTHORITIES < revoked.length ? revokedFrom + MAX_AUTHORITIES : undefined,
    done: c.req.query("done"),
    hindrance: policyHindrance(caller),
    viewer: viewerOf(c),
  });
  return pages.show(c, { title: "Trust roots", section: "/ui/policies", main });
}

async function rootsOf(services: StatingServices): Promise<readonly ListedRoot[]> {
  const [kept, updated] = [await listTrustRoots(services), await listTrustRootUpdates(services)];
  return [
    ...kept.map(({ name, digest, by, at }) => ({ name, digest, by, at: at === null ? null : timeOf(at), expiresAt: undefined })),
    ...updated.map(({ name, record: { digest, by, at, expiresAt } }) => ({
      name,
      digest,
      by,
      at: timeOf(at),
      expiresAt: timeOf(expiresAt),
    })),
  ];
}

function listed({ statement, authority, from, record }: KnownRevocation): ListedAuthority {
  const { reason, by, at, followed } = record;
  const shown = revokedAuthority.parse(authority);
  return {
    statement,
    type: shown.type,
    words: wordsOf(shown),
    from: from === null ? null : timeOf(from),
    reason,
    by,
    at: timeOf(at),
    followed,
  };
}

function wordsOf(authority: RevokedAuthorityView["authority"]): string {
  if (authority.type === "key") return authority.fingerprint;
  const subject = "exact" in authority.subject ? authority.subject.exact : authority.subject.glob;
  return authority.type === "identity"
    ? `${subject}, by ${authority.issuer.exact}`
    : `${subject}, below ${authority.root ?? "any pinned certificate"}`;
}

/** JSON for the schema of the API, which says what is wrong with it. */
function authorityIn(form: URLSearchParams): unknown {
  const type = field(form, "type");
  if (type === "key") return { type, fingerprint: textIn(form, "digest") };
  const text = textIn(form, "subject");
  const subject = text.includes("*") ? { glob: text } : { exact: text };
  if (type === "identity") return { type, issuer: { exact: textIn(form, "issuer") }, subject };
  const root = textIn(form, "digest");
  return { type, ...(root !== "" && { root }), subject };
}

function digestIn(form: URLSearchParams, name: string) {
  const digest = field(form, name) ?? "";
  if (isDigest(digest)) return digest;
  throw new RegistryError("INVALID", "the form lacks what it is about: load the page again");
}

function textIn(form: URLSearchParams, name: string): string {
  return (field(form, name) ?? "").trim();
}

function numberIn(c: Ask, name: string): number {
  return wholeNumber(c.req.query(name), 4) ?? 0;
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}
