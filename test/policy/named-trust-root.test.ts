import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { judgeTrustRoot, trustRootChecks } from "../../src/policy/named-trust-root.ts";

const HOUR = 3_600_000;
const [ROOT, BROUGHT, POLICY] = [digestOf("root metadata"), digestOf("trusted root"), digestOf("policy")];
const wanted = (stale: "refuse" | "warn") => ({ name: "corp", rootDigest: ROOT, maxAgeHours: 72, stale });
const update = { digest: BROUGHT, updatedAt: 0 };

test("an update counts up to its last moment, and then as the policy says", () => {
  expect(judgeTrustRoot("corp", wanted("refuse"), update, 72 * HOUR)).toEqual({
    as: "corp",
    root_digest: ROOT,
    digest: BROUGHT,
    updated_at: "1970-01-01T00:00:00.000Z",
    holds_until: "1970-01-04T00:00:00.000Z",
    status: "fresh",
    counts: true,
  });
  expect(judgeTrustRoot("corp", wanted("refuse"), update, 72 * HOUR + 1)).toMatchObject({ status: "stale", counts: false });
  expect(judgeTrustRoot("corp", wanted("warn"), update, 72 * HOUR + 1)).toMatchObject({ status: "stale", counts: true });
});

test("what no update brought counts for nothing, whatever the policy says of its age", () => {
  const missing = judgeTrustRoot("corp", wanted("warn"), undefined, 0);
  expect(missing).toMatchObject({ digest: null, status: "missing", counts: false });
  expect(trustRootChecks({ name: "p", digest: POLICY }, [missing])).toEqual([
    {
      id: "policy/p/trust-root/corp",
      status: "warn",
      message: expect.stringMatching(/^no update has brought it/) as string,
      inputs: [POLICY, ROOT],
    },
  ]);
});
