import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  coversCatalog,
  liveRightsOn,
  mayDeleteOthersUploads,
  mayResolvePushedTags,
  namespacesWith,
  registryRights,
  rightsOn,
  rightsOnRegistered,
} from "../../src/identity/authorize.ts";
import { PERMISSIONS } from "../../src/identity/permission.ts";
import { ROLES, type TokenAccess } from "../../src/identity/principal.ts";
import { SERVICE_TOKEN, principalWith, repository } from "../support/principal.ts";

const MODEL = repository("team/model");
const OTHER = repository("other/model");
const publisher = principalWith([{ role: "publisher", namespace: "team" }]);
const maintainer = principalWith([{ role: "maintainer", namespace: "team" }]);
const reader = principalWith([{ role: "reader", namespace: "*" }]);
const operator = principalWith([{ role: "operator", namespace: "*" }]);
const scanner = principalWith([{ role: "scanner", namespace: "*" }]);

const access = (name: string, ...actions: TokenAccess["actions"]): TokenAccess => ({ type: "repository", name, actions });
const sorted = (rights: Iterable<string>): string[] => [...rights].toSorted();

describe("rightsOn", () => {
  test("gives the roles of the repository's namespace, and nothing in another one", () => {
    expect(sorted(rightsOn(publisher, MODEL))).toEqual(["acquire", "delete", "pull", "pull:any", "push", "quarantine"]);
    expect(sorted(rightsOn(publisher, OTHER))).toEqual([]);
  });

  test("takes a repository of one component for the namespace of its own name", () => {
    expect(rightsOn(publisher, repository("team")).has("push")).toBe(true);
    expect(rightsOn(publisher, repository("teams")).has("push")).toBe(false);
  });

  test("gives roles that hold everywhere on every repository", () => {
    expect(sorted(rightsOn(reader, MODEL))).toEqual(["pull"]);
    expect(rightsOn(operator, OTHER).has("promote")).toBe(true);
  });

  test("joins several roles", () => {
    const both = principalWith([...publisher.bindings, { role: "reviewer", namespace: "team" }]);
    expect(rightsOn(both, MODEL)).toEqual(new Set([...rightsOn(publisher, MODEL), "approve", "promote", "revoke"]));
  });

  test("lets a token with pull read what the live rights allow, untrusted content included", () => {
    expect(sorted(rightsOn({ ...publisher, access: [access("team/model", "pull")] }, MODEL))).toEqual(["pull", "pull:any"]);
  });

  test.each([
    [["push"], ["push"]],
    [["delete"], ["delete"]],
    [["*"], ["delete", "pull", "pull:any", "push"]],
    [
      ["pull", "push"],
      ["pull", "pull:any", "push"],
    ],
  ] as const)("caps a publisher by a token for %j to %j", (actions, rights) => {
    expect(sorted(rightsOn({ ...publisher, access: [access("team/model", ...actions)] }, MODEL))).toEqual(rights);
  });

  test("gives nothing to a token on a repository that it does not name", () => {
    const capped = { ...publisher, access: [access("team/model", "*")] };
    expect(sorted(rightsOn(capped, repository("team/model2")))).toEqual([]);
    expect(sorted(rightsOn({ ...publisher, access: [] }, MODEL))).toEqual([]);
  });

  test("never gives more than live roles do, whatever a token says", () => {
    expect(sorted(rightsOn({ ...reader, access: [access("team/model", "*")] }, MODEL))).toEqual(["pull"]);
  });

  test("withholds under the strict profile what needs an elevation", () => {
    expect(rightsOn({ ...operator, duties: "strict" }, MODEL).has("promote")).toBe(false);
  });

  const anyRole = fc.constantFrom(...ROLES);
  const anyBinding = fc.record({ role: anyRole, namespace: fc.constantFrom("*", "team", "other") });
  const anyAccess = fc.array(
    fc.record({
      type: fc.constantFrom("repository" as const, "registry" as const),
      name: fc.constantFrom("team/model", "other/model", "catalog"),
      actions: fc.subarray<"pull" | "push" | "delete" | "*">(["pull", "push", "delete", "*"]),
    }),
    { maxLength: 4 },
  );

  test("a token never widens what its identity may do", () => {
    fc.assert(
      fc.property(fc.array(anyBinding), anyAccess, (bindings, scopes) => {
        const principal = principalWith(bindings);
        const capped = { ...principal, access: scopes };
        expect([...liveRightsOn(principal, MODEL)]).toEqual(expect.arrayContaining([...rightsOn(capped, MODEL)]));
        expect([...registryRights(principal)]).toEqual(expect.arrayContaining([...registryRights(capped)]));
      }),
    );
  });

  test("one more role never takes a right away", () => {
    fc.assert(
      fc.property(fc.array(anyBinding), anyBinding, (bindings, more) => {
        const before = rightsOn(principalWith(bindings), MODEL);
        const after = rightsOn(principalWith([...bindings, more]), MODEL);
        expect([...after]).toEqual(expect.arrayContaining([...before]));
      }),
    );
  });

  test("a role in another namespace never gives a right here", () => {
    fc.assert(
      fc.property(anyRole, (role) => {
        expect(rightsOn(principalWith([{ role, namespace: "other" }]), MODEL).size).toBe(0);
      }),
    );
  });
});

test("liveRightsOn does not look at the token", () => {
  expect(liveRightsOn({ ...publisher, access: [] }, MODEL).has("push")).toBe(true);
});

describe("the service token", () => {
  test("reads and revokes what was pushed by OCI, and nothing more", () => {
    expect(sorted(rightsOn(SERVICE_TOKEN, MODEL))).toEqual(["pull", "pull:any", "revoke"]);
  });

  test("has all that its predecessor could do on records that were registered through /v1", () => {
    const rights = rightsOnRegistered(SERVICE_TOKEN, MODEL);
    expect(sorted(rights)).toEqual(
      ["acquire", "delete", "delete:any", "promote", "pull", "pull:any", "quarantine", "reinstate", "revoke", "scan"].toSorted(),
    );
    expect(rightsOnRegistered(publisher, MODEL)).toEqual(rightsOn(publisher, MODEL));
  });

  test("reads the audit, and administers nothing", () => {
    const rights = registryRights(SERVICE_TOKEN);
    expect(rights.has("audit")).toBe(true);
    expect([...rights].filter((right) => right.startsWith("administer"))).toEqual([]);
    expect(namespacesWith(SERVICE_TOKEN, "audit")).toBe("*");
    expect(namespacesWith(SERVICE_TOKEN, "push")).toEqual([]);
  });
});

describe("registryRights", () => {
  test("are those that hold anywhere", () => {
    expect(registryRights(publisher).has("push")).toBe(true);
    expect(registryRights(operator).has("administer:system")).toBe(true);
  });

  test("never come from a binding to one namespace where they reach beyond it", () => {
    const local = principalWith([
      { role: "operator", namespace: "team" },
      { role: "auditor", namespace: "team" },
    ]);
    for (const right of ["administer:system", "administer:policy", "audit", "revoke:everywhere"] as const) {
      expect(registryRights(local).has(right)).toBe(false);
      expect(rightsOn(local, MODEL).has(right)).toBe(false);
    }
  });

  test("of a token are what its scopes cover: never an administrator's", () => {
    expect(sorted(registryRights({ ...operator, access: [access("team/model", "*")] }))).toEqual([
      "delete",
      "delete:any",
      "pull",
      "pull:any",
    ]);
    expect(registryRights({ ...operator, access: [] }).size).toBe(0);
  });
});

describe("namespacesWith", () => {
  test("names the namespaces of a right in order, once each", () => {
    const several = principalWith([
      { role: "publisher", namespace: "zoo" },
      { role: "owner", namespace: "team" },
      { role: "publisher", namespace: "team" },
      { role: "reader", namespace: "other" },
    ]);
    expect(namespacesWith(several, "push")).toEqual(["team", "zoo"]);
    expect(namespacesWith(several, "administer:keys")).toEqual(["team"]);
    expect(namespacesWith(several, "promote")).toEqual([]);
  });

  test("says * for a right that holds everywhere", () => {
    expect(namespacesWith(operator, "promote")).toBe("*");
    expect(namespacesWith(principalWith([{ role: "owner", namespace: "*" }]), "administer:keys")).toEqual([]);
  });

  test("agrees with the rights on a repository there", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ role: fc.constantFrom(...ROLES), namespace: fc.constantFrom("*", "team", "other") })),
        fc.constantFrom(...PERMISSIONS),
        (bindings, permission) => {
          const where = namespacesWith(principalWith(bindings), permission);
          expect(rightsOn(principalWith(bindings), MODEL).has(permission)).toBe(where === "*" || where.includes("team"));
        },
      ),
    );
  });
});

describe("mayResolvePushedTags", () => {
  test("is for holders of pull:any, but not for a scanner, which reads by digest only", () => {
    expect(mayResolvePushedTags(publisher, MODEL)).toBe(true);
    expect(mayResolvePushedTags(operator, MODEL)).toBe(true);
    expect(mayResolvePushedTags(SERVICE_TOKEN, MODEL)).toBe(true);
    expect(mayResolvePushedTags(reader, MODEL)).toBe(false);
    expect(mayResolvePushedTags(scanner, MODEL)).toBe(false);
    expect(rightsOn(scanner, MODEL).has("pull:any")).toBe(true);
  });

  test("is for a scanner that has another role with pull:any there", () => {
    const both = principalWith([...scanner.bindings, { role: "reviewer", namespace: "team" }]);
    expect(mayResolvePushedTags(both, MODEL)).toBe(true);
    expect(mayResolvePushedTags(both, OTHER)).toBe(false);
  });

  test("is not for a token that does not cover pull there", () => {
    expect(mayResolvePushedTags({ ...publisher, access: [access("team/model", "push")] }, MODEL)).toBe(false);
  });
});

test("mayDeleteOthersUploads is not for a publisher, whose right is for its own uploads", () => {
  expect(mayDeleteOthersUploads(publisher, MODEL)).toBe(false);
  expect(mayDeleteOthersUploads(maintainer, MODEL)).toBe(true);
  expect(mayDeleteOthersUploads(operator, OTHER)).toBe(true);
  expect(mayDeleteOthersUploads(reader, MODEL)).toBe(false);
  expect(mayDeleteOthersUploads({ ...maintainer, access: [access("team/model", "pull")] }, MODEL)).toBe(false);
});

test("coversCatalog holds without a token, and with one for the catalog", () => {
  expect(coversCatalog(reader)).toBe(true);
  expect(coversCatalog({ ...reader, access: [{ type: "registry", name: "catalog", actions: ["*"] }] })).toBe(true);
  expect(coversCatalog({ ...reader, access: [access("catalog", "*")] })).toBe(false);
});
