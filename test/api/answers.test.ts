import { expectTypeOf, test } from "vitest";
import type { z } from "zod";
import type { artifactAnswer, artifactHistory, promotedTagAnswer } from "../../src/api/artifact-answers.ts";
import type { decisionAnswer } from "../../src/api/decision.ts";
import type { Check } from "../../src/policy/check.ts";
import type { Decision, TagPlan } from "../../src/policy/promotion.ts";
import type { TagPointers } from "../../src/registry/promoted-tag.ts";
import type { ShownApprovalStatement, ShownArtifact, ShownLink } from "../../src/registry/show-artifact.ts";

type Answer<T extends z.ZodType> = z.infer<T>;

// The use cases may not know the contract; that the values fit as well is shown by real answers.
test("what use cases show has the members that the contract names, and no other", () => {
  expectTypeOf<keyof ShownArtifact>().toEqualTypeOf<keyof Answer<typeof artifactAnswer>>();
  expectTypeOf<keyof ShownLink>().toEqualTypeOf<keyof Answer<typeof artifactHistory>["history"][number]>();
  expectTypeOf<keyof ShownApprovalStatement>().toEqualTypeOf<keyof Answer<typeof artifactHistory>["approvals"][number]>();
  expectTypeOf<keyof TagPointers>().toEqualTypeOf<keyof Answer<typeof promotedTagAnswer>>();
  expectTypeOf<keyof Decision>().toEqualTypeOf<keyof Answer<typeof decisionAnswer>>();
  expectTypeOf<keyof Check>().toEqualTypeOf<keyof Answer<typeof decisionAnswer>["checks"][number]>();
  expectTypeOf<keyof TagPlan>().toEqualTypeOf<keyof Answer<typeof decisionAnswer>["tags"]>();
});
