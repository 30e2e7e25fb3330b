import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { isRepositoryName } from "../../oci/reference.ts";
import { comparePolicies, matchingRepositories, policyVersions, readVersion } from "../../registry/policy-history.ts";
import { deletePolicy, policyRows } from "../../registry/policies.ts";
import type { Caller } from "../../registry/ports.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import type { ReplayServices } from "../../registry/replay-policy.ts";
import { policyPath } from "../../ui/links.ts";
import { IN_FORCE_FIELD, policiesPage } from "../../ui/policies.ts";
import { type ShownPolicy, policyPage } from "../../ui/policy.ts";
import { differencePage } from "../../ui/policy-difference.ts";
import { plainJson } from "../../ui/text.ts";
import type { Ask, Door } from "../route.ts";
import { demandedReason, field } from "./form.ts";
import { type Pages, redirect } from "./page.ts";
import { demandPolicyRight, policyHindrance } from "./policy-right.ts";
import { policyTryDoor } from "./policy-try.ts";
import { formOf, viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

type Needs = ReplayServices & StatingServices;

const POLICY = "/ui/policies/:name{[a-z0-9-]+}";
const PAGE = 30;
const MAX_VERSIONS = 12;
const MAX_MATCHING = 12;

/** The pages of policies, and what changes them: by the use cases of `/v1/policies`. */
export function policyPageDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    { method: "GET", path: "/ui/policies", action: "session", handle: (c, caller) => showList(services, pages, c, caller) },
    { method: "GET", path: POLICY, action: "session", handle: (c, caller) => showOne(services, pages, c, caller) },
    {
      method: "GET",
      path: `${POLICY}/difference`,
      action: "session",
      handle: async (c) => {
        const name = c.req.param("name") ?? "";
        const difference = await comparePolicies(services, name, [numberIn(c, "from") ?? 0, numberIn(c, "to") ?? 0]);
        const main = differencePage(difference, numberIn(c, "at") ?? 0);
        return pages.show(c, { title: `${name} · difference`, section: "/ui/policies", main });
      },
    },
    policyTryDoor(services, pages),
    {
      method: "POST",
      path: `${POLICY}/end`,
      action: "session",
      handle: async (c, caller) => {
        demandPolicyRight(caller);
        const form = formOf(c);
        const restsOn = field(form, IN_FORCE_FIELD);
        if (restsOn === undefined) throw new RegistryError("INVALID", "the form lacks what it rests on: load the page again");
        const { name } = await deletePolicy(services, caller, c.req.param("name") ?? "", { reason: demandedReason(form), restsOn });
        return redirect(c, policyPath(name, "?done=ended"));
      },
    },
  ];
}

async function showList(services: Needs, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  const all = await policyRows(services);
  const from = Math.min(numberIn(c, "from") ?? 0, all.length);
  const policies = all.slice(from, from + PAGE).map(({ name, record }) => ({ ...record, name, at: new Date(record.at).toISOString() }));
  const next = from + PAGE < all.length ? from + PAGE : undefined;
  const main = policiesPage({ policies, next, hindrance: policyHindrance(caller), viewer: viewerOf(c) });
  return pages.show(c, { title: "Policies", section: "/ui/policies", main });
}

async function showOne(services: Needs, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  const name = c.req.param("name") ?? "";
  const { policy, document, last } = await readVersion(services, name, numberIn(c, "version"));
  const versions = await policyVersions(services, name, Math.min((numberIn(c, "before") ?? Infinity) - 1, last), MAX_VERSIONS);
  const { repositories } = document.spec.match;
  const main = policyPage({
    name,
    shown: { ...policy, at: new Date(policy.at).toISOString() },
    last,
    text: plainJson(document),
    repositories,
    versions: versions.map((version) => ({ ...version, at: new Date(version.at).toISOString() })),
    matching: await matchingOf(services, c, caller, repositories),
    done: c.req.query("done"),
    hindrance: policyHindrance(caller),
    viewer: viewerOf(c),
  });
  return pages.show(c, { title: `${name} · policy`, section: "/ui/policies", main, copies: true });
}

async function matchingOf(services: Needs, c: Ask, { principal }: Caller, patterns: readonly string[]): Promise<ShownPolicy["matching"]> {
  // Names tell what somebody works on: they are for who knows of all repositories anyhow.
  if (!registryRights(principal).has("audit")) return undefined;
  const asked = c.req.query("after") ?? "";
  const after = isRepositoryName(asked) ? asked : undefined;
  const { repositories, next } = await matchingRepositories(services, patterns, { after, limit: MAX_MATCHING });
  return { names: repositories, next };
}

/** Nothing is counted from zero here. */
function numberIn(c: Ask, name: string): number | undefined {
  return wholeNumber(c.req.query(name), 9) || undefined;
}
