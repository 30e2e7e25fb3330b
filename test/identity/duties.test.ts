import { describe, expect, test } from "vitest";
import { dutyOfApproving, dutyOfPromoting } from "../../src/identity/duties.ts";
import { SERVICE_TOKEN, principalWith } from "../support/principal.ts";

const alice = principalWith([], { name: "alice" });
const robot = principalWith([], { name: "robot", countsAs: "alice" });
const person = principalWith([], { name: "paula", kind: "human", duties: "strict" });
const hands = (uploaders: string[], approvers: string[] = []): { uploaders: string[]; approvers: string[] } => ({ uploaders, approvers });

describe("dutyOfPromoting", () => {
  test("permits who did not upload", () => {
    expect(dutyOfPromoting(alice, hands(["bob"]))).toEqual({ effect: "permit" });
  });

  test("forbids every uploader, and whoever counts as one", () => {
    expect(dutyOfPromoting(alice, hands(["bob", "alice"])).effect).toBe("forbid");
    expect(dutyOfPromoting(robot, hands(["alice"])).effect).toBe("forbid");
  });

  test("lets an approver promote only when two others approved, none of them an uploader or the same person again", () => {
    expect(dutyOfPromoting(alice, hands(["bob"], ["alice", "bob", "carl", "carl"])).effect).toBe("forbid");
    expect(dutyOfPromoting(alice, hands(["bob"], ["alice"])).effect).toBe("forbid");
    expect(dutyOfPromoting(robot, hands(["bob"], ["alice", "carl"])).effect).toBe("forbid");
    expect(dutyOfPromoting(alice, hands(["bob"], ["alice", "carl", "dora"])).effect).toBe("permit");
  });

  test("waives the duty for the service token under standard, and says so", () => {
    expect(dutyOfPromoting(SERVICE_TOKEN, hands(["service-token"]))).toEqual({ effect: "permit", waived: "service-token" });
    expect(dutyOfPromoting(SERVICE_TOKEN, hands(["bob"]))).toEqual({ effect: "permit" });
  });

  test("refuses the service token, and whoever is no person, under strict", () => {
    expect(dutyOfPromoting({ ...SERVICE_TOKEN, duties: "strict" }, hands(["bob"])).effect).toBe("forbid");
    expect(dutyOfPromoting({ ...alice, duties: "strict" }, hands(["bob"])).effect).toBe("forbid");
    expect(dutyOfPromoting(person, hands(["bob"])).effect).toBe("permit");
  });
});

describe("dutyOfApproving", () => {
  test("forbids every uploader, and whoever counts as one", () => {
    expect(dutyOfApproving(alice, hands(["bob"])).effect).toBe("permit");
    expect(dutyOfApproving(alice, hands(["alice"])).effect).toBe("forbid");
    expect(dutyOfApproving(robot, hands(["alice"])).effect).toBe("forbid");
  });
});
