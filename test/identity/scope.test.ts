import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Permission } from "../../src/identity/permission.ts";
import { tokenAccessSchema } from "../../src/identity/principal.ts";
import { MAX_SCOPES, formatScopes, grantScopes, parseScopes, scopeFor } from "../../src/identity/scope.ts";
import { repository } from "../support/principal.ts";

const one = (name: string, ...actions: string[]): object => ({ type: "repository", name, actions });

describe("parseScopes", () => {
  test("reads a scope with its actions in one order", () => {
    expect(parseScopes(["repository:team/model:push,pull"])).toEqual([one("team/model", "pull", "push")]);
    expect(parseScopes(["repository:a:*"])).toEqual([one("a", "*")]);
  });

  test("reads repeated parameters and those that hold several scopes alike", () => {
    const expected = [one("a", "pull"), one("b", "push")];
    expect(parseScopes(["repository:a:pull", "repository:b:push"])).toEqual(expected);
    expect(parseScopes(["repository:a:pull  repository:b:push"])).toEqual(expected);
  });

  test("joins the scopes of one repository, as containerd sends them", () => {
    expect(parseScopes(["repository:a:pull repository:a:pull,push"])).toEqual([one("a", "pull", "push")]);
  });

  test("reads Docker's old form with a class, and the catalog", () => {
    expect(parseScopes(["repository(plugin):a/b:pull"])).toEqual([one("a/b", "pull")]);
    expect(parseScopes(["registry:catalog:*"])).toEqual([{ type: "registry", name: "catalog", actions: ["*"] }]);
  });

  test("leaves out what it does not know, so that less is granted instead of nothing", () => {
    expect(parseScopes(["repository:a:pull,admin,*"])).toEqual([one("a", "pull", "*")]);
    expect(parseScopes(["repository:A:pull", "repository:host:5000/a:pull", "registry:other:*", "x", "a:b", "repository:a"])).toEqual([]);
    expect(parseScopes([`repository:${"a".repeat(256)}:pull`])).toEqual([]);
    expect(parseScopes([""])).toEqual([]);
  });

  test("takes 32 scopes and refuses 33", () => {
    const scopes = Array.from({ length: MAX_SCOPES + 1 }, (_, at) => `repository:a${at}:pull`);
    expect(parseScopes(scopes.slice(1))).toHaveLength(32);
    expect(parseScopes(scopes)).toBeUndefined();
    expect(parseScopes([scopes.join(" ")])).toBeUndefined();
  });

  test("answers for any text what fits into a token, and reads back what it wrote", () => {
    const anyScope = fc.oneof(fc.string(), fc.constantFrom("repository:a:pull", "repository:a/b:push,*", "registry:catalog:*"));
    fc.assert(
      fc.property(fc.array(anyScope, { maxLength: 8 }), (texts) => {
        const parsed = parseScopes(texts) ?? [];
        expect(tokenAccessSchema.array().safeParse(parsed).success).toBe(true);
        expect(parseScopes([formatScopes(parsed)])).toEqual(parsed);
      }),
    );
  });
});

/** What is granted of a scope to somebody with these rights everywhere. */
function granted(scope: string, ...rights: Permission[]): string {
  return formatScopes(grantScopes(parseScopes([scope]) ?? [], () => new Set(rights)));
}

describe("grantScopes", () => {
  test("grants of what was asked what the rights allow", () => {
    expect(granted("repository:a:pull,push,delete", "pull", "push", "promote")).toBe("repository:a:pull,push");
    expect(granted("repository:a:pull", "pull", "push")).toBe("repository:a:pull");
  });

  test("expands * to what the caller may do, and never more", () => {
    expect(granted("repository:a:*", "pull:any", "delete:any", "promote")).toBe("repository:a:pull,delete");
    expect(granted("repository:a:*")).toBe("");
  });

  test("asks for the rights of each repository", () => {
    const asked = parseScopes(["repository:a:pull repository:b:pull"]) ?? [];
    const granting = grantScopes(asked, (name) => new Set<Permission>(name === "b" ? ["pull"] : []));
    expect(formatScopes(granting)).toBe("repository:b:pull");
  });

  test("grants the catalog to everybody, since what it lists is decided by the gate", () => {
    expect(granted("registry:catalog:*")).toBe("registry:catalog:*");
  });
});

test("scopeFor asks for pull beside push, which looks at what is there first", () => {
  expect(scopeFor("pull", repository("a/b"))).toBe("repository:a/b:pull");
  expect(scopeFor("push", repository("a/b"))).toBe("repository:a/b:pull,push");
  expect(scopeFor("delete", repository("a/b"))).toBe("repository:a/b:delete");
});
