import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type KnownIdentity, administersKeysOf, decideGrant } from "../../src/identity/grant.ts";
import { type Binding, ROLES, type Role } from "../../src/identity/principal.ts";
import { SERVICE_TOKEN, principalWith } from "../support/principal.ts";

const operator = principalWith([{ role: "operator", namespace: "*" }], { name: "operator" });
const owner = principalWith([{ role: "owner", namespace: "team" }], { name: "olga" });
const maintainer = principalWith([{ role: "maintainer", namespace: "team" }], { name: "mona" });
const at = (role: Role, namespace = "team"): Binding => ({ role, namespace });
const known = (countsAs: string, ...bindings: Binding[]): KnownIdentity => ({ kind: "service", bindings, countsAs });

describe("decideGrant", () => {
  test("lets an operator grant every role, rights that it lacks included, and what it made counts as itself", () => {
    expect(decideGrant(operator, "ci", at("publisher"), undefined)).toEqual({ effect: "permit", countsAs: "ci" });
    expect(decideGrant(operator, "rev", at("reviewer", "*"), undefined).effect).toBe("permit");
    expect(decideGrant(operator, "op2", at("operator", "*"), undefined).effect).toBe("permit");
  });

  test.each(ROLES)("lets an owner grant %s in its own namespace only where that is reader, publisher or maintainer", (role) => {
    const binding = at(role, role === "operator" || role === "auditor" ? "*" : "team");
    const allowed = ["reader", "publisher", "maintainer"].includes(role);
    expect(decideGrant(owner, "ci", binding, undefined).effect).toBe(allowed ? "permit" : "forbidden");
  });

  test("counts what an owner made as that owner", () => {
    expect(decideGrant(owner, "ci", at("publisher"), undefined)).toEqual({ effect: "permit", countsAs: "olga" });
    const both = principalWith([...operator.bindings, ...owner.bindings], { name: "both" });
    expect(decideGrant(both, "ci", at("publisher"), undefined)).toEqual({ effect: "permit", countsAs: "both" });
  });

  test("lets an owner grant nothing elsewhere", () => {
    expect(decideGrant(owner, "ci", at("reader", "other"), undefined).effect).toBe("forbidden");
    expect(decideGrant(owner, "ci", at("reader", "*"), undefined).effect).toBe("forbidden");
  });

  test("lets nobody else grant anything", () => {
    for (const caller of [maintainer, SERVICE_TOKEN, principalWith([at("reviewer", "*")]), principalWith([])]) {
      expect(decideGrant(caller, "ci", at("reader"), undefined).effect).toBe("forbidden");
    }
  });

  test("wants an API key: an access token administers nothing", () => {
    expect(decideGrant({ ...operator, access: [] }, "ci", at("reader"), undefined).effect).toBe("forbidden");
  });

  test.each([
    [at("operator", "team"), "the whole registry"],
    [at("auditor", "team"), "the whole registry"],
    [at("publisher", "*"), "one namespace"],
    [at("owner", "*"), "one namespace"],
  ])("refuses the role %j, which makes no sense there", (binding, reason) => {
    const grant = decideGrant(operator, "ci", binding, undefined);
    expect(grant.effect).toBe("invalid");
    expect("reason" in grant && grant.reason).toContain(reason);
  });

  test.each(["", "A", "a:b", "service-token", "system"])("refuses the name %j", (name) => {
    expect(decideGrant(operator, name, at("reader"), undefined).effect).toBe("invalid");
  });

  test("makes another key for an identity that has exactly this role, and no new role for one that has another", () => {
    expect(decideGrant(operator, "ci", at("reader"), known("olga", at("reader")))).toEqual({ effect: "permit", countsAs: "olga" });
    expect(decideGrant(operator, "ci", at("reader"), known("ci", at("publisher"))).effect).toBe("invalid");
    expect(decideGrant(operator, "ci", at("reader"), known("ci", at("reader"), at("owner"))).effect).toBe("invalid");
    expect(decideGrant(operator, "p", at("reader"), { ...known("p", at("reader")), kind: "human" }).effect).toBe("invalid");
  });

  test("gives an owner no key of an identity that is another person", () => {
    expect(decideGrant(owner, "ci", at("publisher"), known("ci", at("publisher"))).effect).toBe("forbidden");
    expect(decideGrant(owner, "ci", at("publisher"), known("olga", at("publisher"))).effect).toBe("permit");
  });
});

describe("administersKeysOf", () => {
  test("holds for everybody's own keys, and for an operator", () => {
    expect(administersKeysOf(maintainer, "mona", known("mona", ...maintainer.bindings))).toBe(true);
    expect(administersKeysOf(operator, "mona", known("mona"))).toBe(true);
    expect(administersKeysOf(maintainer, "olga", known("olga"))).toBe(false);
  });

  test("holds for an owner over what it made, while that has nothing beyond the owner's namespace", () => {
    expect(administersKeysOf(owner, "ci", known("olga", at("publisher")))).toBe(true);
    expect(administersKeysOf(owner, "ci", known("olga", at("publisher"), at("reader", "other")))).toBe(false);
    expect(administersKeysOf(owner, "ci", known("olga", at("reviewer")))).toBe(false);
    expect(administersKeysOf(owner, "ci", known("ci", at("publisher")))).toBe(false);
  });

  test("never holds for an access token or the service token", () => {
    expect(administersKeysOf({ ...maintainer, access: [] }, "mona", known("mona"))).toBe(false);
    expect(administersKeysOf(SERVICE_TOKEN, "service-token", known("service-token"))).toBe(false);
  });
});

test("nobody but an operator can get a right, by keys of its making, that it does not have itself", () => {
  const anyBinding = fc
    .record({ role: fc.constantFrom(...ROLES), namespace: fc.constantFrom("*", "team", "other") })
    .filter(({ role, namespace }) => namespace === "*" || !["operator", "auditor"].includes(role));
  fc.assert(
    fc.property(fc.array(anyBinding), anyBinding, (bindings, binding) => {
      const caller = principalWith(bindings);
      if (bindings.some(({ role, namespace }) => role === "operator" && namespace === "*")) return;
      if (decideGrant(caller, "ci", binding, undefined).effect !== "permit") return;
      expect(bindings).toContainEqual({ role: "owner", namespace: binding.namespace });
      expect(["reader", "publisher", "maintainer"]).toContain(binding.role);
    }),
  );
});
