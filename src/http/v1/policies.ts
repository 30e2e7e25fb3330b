import { replayRequest } from "../../api/policy-replay.ts";
import { type PolicyView, policyView, showPolicyRequest } from "../../api/policies.ts";
import { RegistryError } from "../../oci/errors.ts";
import { essenceOf } from "../../oci/media-types.ts";
import { type Policy, type SentPolicy, deletePolicy, listPolicies, putPolicy, showPolicy } from "../../registry/policies.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import { type ReplayServices, replayPolicy } from "../../registry/replay-policy.ts";
import { jsonBody, queryOf, wholeBody } from "../body.ts";
import type { Ask, Door } from "../route.ts";

/** More than the text of any policy that is taken: what is too long is told in the policy's own words. */
const MAX_BODY = 1_048_576;
const CHANGE = { permission: "administer:policy", on: "registry" } as const;

/** The doors to written promotion policies (interface.md §8). */
export function policyDoors(services: ReplayServices & StatingServices): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/policies",
      action: "credential",
      handle: async (c) => c.json({ policies: (await listPolicies(services)).map(shown) }),
    },
    {
      method: "GET",
      path: "/v1/policies/:name",
      action: "credential",
      handle: async (c) => {
        const { version } = queryOf(c, showPolicyRequest);
        return c.json(shown(await showPolicy(services, nameIn(c), version)));
      },
    },
    {
      method: "PUT",
      path: "/v1/policies/:name",
      action: CHANGE,
      handle: async (c, caller) => c.json(versionOf(await putPolicy(services, caller, nameIn(c), await sentPolicy(c)))),
    },
    {
      method: "DELETE",
      path: "/v1/policies/:name",
      action: CHANGE,
      handle: async (c, caller) => c.json(versionOf(await deletePolicy(services, caller, nameIn(c)))),
    },
    {
      method: "POST",
      path: "/v1/policies/:name/replay",
      action: CHANGE,
      handle: async (c, caller) => {
        const { policy: document, repository: repositories, version, cursor, limit } = await jsonBody(c, replayRequest);
        const request = { name: nameIn(c), document, version, repositories, cursor, limit, signal: c.req.raw.signal };
        return c.json(await replayPolicy(services, caller, request));
      },
    },
  ];
}

function nameIn(c: Ask): string {
  return c.req.param("name") ?? "";
}

const NOTATIONS: Readonly<Record<string, SentPolicy["notation"]>> = {
  "application/json": "json",
  "application/yaml": "yaml",
  "application/x-yaml": "yaml",
  "text/yaml": "yaml",
};

async function sentPolicy(c: Ask): Promise<SentPolicy> {
  const type = essenceOf(c.req.header("content-type") ?? "application/json");
  // What clients send that were told no type at all.
  const notation = type === "application/x-www-form-urlencoded" ? "json" : NOTATIONS[type];
  if (notation === undefined) {
    throw new RegistryError("MEDIA_TYPE_UNSUPPORTED", "a policy is sent as application/json or application/yaml");
  }
  return { bytes: await wholeBody(c, MAX_BODY), notation };
}

function versionOf({ name, version, digest, inForce, by, at }: Policy): Omit<PolicyView, "document"> {
  return { name, version, digest, in_force: inForce, changed_by: by, changed_at: new Date(at).toISOString() };
}

function shown(policy: Policy): PolicyView {
  const document: unknown = JSON.parse(policy.text);
  return policyView.parse({ ...versionOf(policy), document });
}
