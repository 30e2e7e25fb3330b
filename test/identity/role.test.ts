import { describe, expect, test } from "vitest";
import { PERMISSIONS, type Permission } from "../../src/identity/permission.ts";
import { ROLES, type Role } from "../../src/identity/principal.ts";
import { deletesOwnUploadsOnly, permissionsOf, readsUntrustedByDigestOnly } from "../../src/identity/role.ts";

/** The table of roles as it was decided; `~` marks what the strict profile gives by elevation alone. */
const TABLE = `
| permission | reader | publisher | scanner | reviewer | maintainer | owner | auditor | operator |
| pull | + | + | + | + | + | + | - | + |
| pull:any | - | own namespace | by digest only | + | + | + | - | +~ |
| push | - | + | - | - | + | + | - | - |
| push:any | - | - | - | - | + | + | - | - |
| acquire | - | + | - | - | + | + | - | - |
| quarantine | - | + | + | + | + | + | - | + |
| scan | - | - | + | - | - | - | - | - |
| approve | - | - | - | + | - | - | - | - |
| promote | - | - | - | +~ | - | - | - | +~ |
| revoke | - | - | - | +~ | - | +~ | - | +~ |
| revoke:everywhere | - | - | - | - | - | - | - | +~ |
| reinstate | - | - | - | - | - | - | - | +~ |
| delete | - | own uploads | - | - | + | + | - | +~ |
| delete:any | - | - | - | - | - | - | - | +~ |
| audit | - | - | - | - | - | - | + | + |
| audit:export | - | - | - | - | - | - | + | - |
| administer:repository | - | - | - | - | + | + | - | +~ |
| administer:members | - | - | - | - | - | own namespace | - | +~ |
| administer:keys | - | - | - | - | - | own namespace | - | +~ |
| administer:policy | - | - | - | - | - | - | - | +~ |
| administer:rules | - | - | - | - | - | - | - | +~ |
| administer:elevation | - | - | - | - | - | - | - | + |
| administer:vault | - | - | - | - | - | - | - | + |
| administer:system | - | - | - | - | - | - | - | +~ |
`;

const REGISTRY_WIDE = new Set<string>([
  "revoke:everywhere",
  "audit",
  "audit:export",
  "administer:policy",
  "administer:rules",
  "administer:elevation",
  "administer:vault",
  "administer:system",
]);

const [head = [], ...rows] = TABLE.trim()
  .split("\n")
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
const cells = rows.flatMap(([permission = "", ...marks]) =>
  marks.map((mark, at) => ({ permission: permission as Permission, role: head[at + 1] as Role, mark })),
);

describe("permissionsOf", () => {
  test("has a row of the table for every permission and a column for every role", () => {
    expect(rows.map(([permission]) => permission)).toEqual([...PERMISSIONS]);
    expect(head.slice(1)).toEqual([...ROLES]);
  });

  test.each(cells)("gives $role $permission as the table says: $mark", ({ permission, role, mark }) => {
    const has = mark !== "-";
    const own = mark === "own namespace";
    const wide = REGISTRY_WIDE.has(permission);
    expect(permissionsOf(role, "standard", "everywhere").includes(permission)).toBe(has && !own);
    expect(permissionsOf(role, "standard", "namespace").includes(permission)).toBe(has && !wide);
    expect(permissionsOf(role, "strict", "everywhere").includes(permission)).toBe(has && !own && !mark.endsWith("~"));
    expect(permissionsOf(role, "strict", "namespace").includes(permission)).toBe(has && !wide && !mark.endsWith("~"));
  });

  test.each(["standard", "strict"] as const)(
    "gives an owner all of a maintainer, and that one all of a publisher, in the %s profile",
    (duties) => {
      const [owner, maintainer, publisher] = (["owner", "maintainer", "publisher"] as const).map((role) =>
        permissionsOf(role, duties, "namespace"),
      );
      expect(owner).toEqual(expect.arrayContaining([...(maintainer ?? [])]));
      expect(maintainer).toEqual(expect.arrayContaining([...(publisher ?? [])]));
    },
  );

  test("never lets an operator push or approve", () => {
    expect(permissionsOf("operator", "standard", "everywhere")).not.toEqual(expect.arrayContaining(["push"]));
    expect(permissionsOf("operator", "standard", "everywhere")).not.toEqual(expect.arrayContaining(["approve"]));
  });
});

test.each(ROLES)("the limits of %s are those that the table puts in words", (role) => {
  const marks = new Set(cells.filter((cell) => cell.role === role).map(({ mark }) => mark));
  expect(readsUntrustedByDigestOnly(role)).toBe(marks.has("by digest only"));
  expect(deletesOwnUploadsOnly(role)).toBe(marks.has("own uploads"));
});
