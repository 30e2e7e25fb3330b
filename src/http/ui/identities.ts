import type { z } from "zod";
import { createCredentialRequest } from "../../api/credentials.ts";
import { grantsOf } from "../../identity/grant.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { FreshCredential } from "../../registry/credential-rows.ts";
import { createKey, revokeCredential, rotateKey } from "../../registry/credentials.ts";
import { disableIdentity } from "../../registry/disable-identity.ts";
import { listIdentities } from "../../registry/list-identities.ts";
import { createNamespace } from "../../registry/namespaces.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type ListedIdentity, identitiesPage, madeKeyPage } from "../../ui/identities.ts";
import { VERSION_FIELD } from "../../ui/identity.ts";
import { identityPath } from "../../ui/links.ts";
import { conform } from "../body.ts";
import type { Ask, Door } from "../route.ts";
import { demandedReason, field } from "./form.ts";
import { showIdentityPage } from "./identity.ts";
import { type Pages, redirect } from "./page.ts";
import { formOf, viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const PAGE = 40;
const DAY = 24 * 60 * 60;
const IDENTITY = "/ui/identities/:name{[a-z0-9._-]+}";
const KEY = "/ui/keys/:id{[\\w-]+}";

/** The pages of identities and their keys, and what changes them: by the use cases of `/v1/credentials` and `/v1/namespaces`. */
export function identityDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    { method: "GET", path: "/ui/identities", action: "session", handle: (c, caller) => showList(services, pages, c, caller) },
    { method: "GET", path: IDENTITY, action: "session", handle: (c, caller) => showIdentityPage(services, pages, c, caller) },
    ...keyDoors(services, pages),
    ...identityActDoors(services),
  ];
}

function keyDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    {
      method: "POST",
      path: "/ui/keys",
      action: "session",
      handle: async (c, caller) => {
        const { name, role, namespace, expires_in: lifetime } = asked(formOf(c));
        return showKey(
          pages,
          c,
          await createKey(services, caller, { name, binding: { role, namespace }, lifetime, restsOn: versionIn(c) ?? "absent" }),
        );
      },
    },
    {
      method: "POST",
      path: `${KEY}/rotate`,
      action: "session",
      handle: async (c, caller) => {
        const restsOn = versionIn(c);
        if (restsOn === undefined) throw new RegistryError("INVALID", "the form lacks what it rests on: load the page again");
        return showKey(pages, c, await rotateKey(services, caller, c.req.param("id") ?? "", { lifetime: 30 * DAY, overlap: DAY, restsOn }));
      },
    },
    {
      method: "POST",
      path: `${KEY}/revoke`,
      action: "session",
      handle: async (c, caller) => {
        const { identity } = await revokeCredential(services, caller, c.req.param("id") ?? "");
        return redirect(c, `${identityPath(identity)}?done=revoke`);
      },
    },
  ];
}

function identityActDoors(services: Needs): readonly Door[] {
  return [
    ...(["disable", "enable"] as const).map((act): Door => ({
      method: "POST",
      path: `${IDENTITY}/${act}`,
      action: "session",
      handle: async (c, caller) => {
        const reason = demandedReason(formOf(c));
        const { name } = await disableIdentity(services, caller, {
          name: c.req.param("name") ?? "",
          isDisabled: act === "disable",
          reason,
        });
        return redirect(c, `${identityPath(name)}?done=${act}`);
      },
    })),
    {
      method: "POST",
      path: `${IDENTITY}/namespaces`,
      action: "session",
      handle: async (c, caller) => {
        const owner = c.req.param("name") ?? "";
        await createNamespace(services, caller, { name: (field(formOf(c), "namespace") ?? "").trim(), owner });
        return redirect(c, `${identityPath(owner)}?done=namespace`);
      },
    },
  ];
}

async function showList(services: Needs, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  const { identities, next } = await listIdentities(services, caller, { limit: PAGE, after: c.req.query("after")?.slice(0, 64) });
  const listed = identities.map(({ name, kind, bindings, disabled, createdBy, createdAt }): ListedIdentity => ({
    name,
    kind,
    roles: bindings,
    isDisabled: disabled,
    createdBy,
    createdAt: new Date(createdAt).toISOString(),
  }));
  const main = identitiesPage({ identities: listed, next, grantable: grantsOf(caller.principal), viewer: viewerOf(c) });
  return pages.show(c, { title: "Identities", section: "/ui/identities", main });
}

/** The answer to a form is the only page with the key: it is in no address, and the form, sent again, makes no other one. */
function showKey(pages: Pages, c: Ask, { record, secret }: FreshCredential): Response {
  const expiresAt = record.expiresAt === null ? null : new Date(record.expiresAt).toISOString();
  const main = madeKeyPage({ name: record.identity, key: secret, id: record.id, expiresAt, follows: record.parent ?? undefined });
  return pages.show(c, { title: "A new key", section: "/ui/identities", main });
}

function asked(form: URLSearchParams): z.infer<typeof createCredentialRequest> {
  const [name, role, namespace] = ["name", "role", "namespace"].map((each) => (field(form, each) ?? "").trim());
  const days = field(form, "days") ?? "";
  const count = wholeNumber(days, 3);
  return conform(createCredentialRequest, { name, role, namespace, expires_in: count === undefined ? days : count * DAY });
}

function versionIn(c: Ask): number | undefined {
  return wholeNumber(field(formOf(c), VERSION_FIELD), 15);
}
