import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DigestAlgorithm, digestOf } from "../../src/oci/digest.ts";
import { condemn, finishRemoval } from "../../src/registry/remove-blob.ts";
import { sharesRevoked } from "../../src/registry/shared-content.ts";
import { foundBlob } from "../jobs/garbage.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, descriptorOf, digestIn, imageOf } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HERE, ELSEWHERE] = ["models/m", "models/other"];
const WEIGHTS = "weights ".repeat(10_000);

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  await at.blob(alice, HERE, "{}");
});
afterEach(() => at[Symbol.asyncDispose]());

/** An image whose one layer is named by an algorithm. */
function imageBy(algorithm: DigestAlgorithm): object {
  return imageOf([], { layers: [{ ...descriptorOf(WEIGHTS), digest: digestOf(WEIGHTS, algorithm) }] });
}

/** Pushes that image with its layer, and revokes it. */
async function revoked(algorithm: DigestAlgorithm, over: { permanent?: boolean; everywhere?: boolean } = {}): Promise<void> {
  await at.blob(alice, HERE, WEIGHTS, algorithm);
  await at.manifest(alice, HERE, imageBy(algorithm));
  await at.revoke(operator, HERE, digestIn(imageBy(algorithm)), over);
}

/** What a promotion would be told of the layer, when somebody pushes it by an algorithm. */
async function told(place: string, algorithm: DigestAlgorithm): Promise<readonly string[]> {
  const digest = await at.blob(alice, place, WEIGHTS, algorithm);
  const layers = [{ ...descriptorOf(WEIGHTS), digest }];
  const shared = await sharesRevoked(at.services, repository(place), { root: digestOf("another manifest"), layers });
  return shared.map(({ digest: named, severe }) => `${severe ? "fail" : "warn"} ${named === digest ? "as named" : named}`);
}

const BOTH_WAYS = [
  ["sha512", "sha256"],
  ["sha256", "sha512"],
  ["sha512", "sha512"],
] as const;

// RULES 13, for bytes that have two names.
describe.each(BOTH_WAYS)("a layer that was revoked by its %s and comes again by its %s", (first, second) => {
  test.each([
    ["in its repository", {}, HERE, ["warn as named"]],
    ["in its repository, permanently", { permanent: true }, HERE, ["fail as named"]],
    ["elsewhere", {}, ELSEWHERE, []],
    ["elsewhere, permanently", { permanent: true }, ELSEWHERE, ["fail as named"]],
    ["everywhere", { everywhere: true }, ELSEWHERE, ["fail as named"]],
  ] as const)("is told when it was revoked %s", async (_, over, place, expected) => {
    await revoked(first, over);
    expect(await told(place, second)).toEqual(expected);
  });

  test("is told after the artifact was deleted and its bytes were collected (RULES 12)", async () => {
    await revoked(first, { permanent: true });
    await at.delete(operator, HERE, digestIn(imageBy(first)));
    const digest = digestOf(WEIGHTS, first);
    await at.deleteBlob(alice, HERE, digest);
    expect(await condemn(at.services, digest, await foundBlob(at.services, digest, WEIGHTS.length))).toBe(true);
    expect(await finishRemoval(at.services, digest)).toBe(true);
    expect(await told(ELSEWHERE, second)).toEqual(["fail as named"]);
  });

  test("is told when the artifact was revoked before its bytes were there", async () => {
    await at.manifest(alice, HERE, imageBy(first));
    await at.revoke(operator, HERE, digestIn(imageBy(first)), { permanent: true });
    await at.blob(alice, HERE, WEIGHTS, "sha512");
    expect(await told(ELSEWHERE, second)).toEqual(["fail as named"]);
  });

  test("is told no more once the revocation is lifted", async () => {
    await revoked(first);
    await at.promote(operator, HERE, digestIn(imageBy(first)));
    expect(await told(HERE, second)).toEqual([]);
  });
});

test("layers of an artifact itself are not told, whatever they are named by", async () => {
  await revoked("sha512", { permanent: true });
  const layers = [{ ...descriptorOf(WEIGHTS), digest: await at.blob(alice, HERE, WEIGHTS) }];
  const root = digestIn(imageBy("sha512"));
  expect(await sharesRevoked(at.services, repository(HERE), { root, layers })).toEqual([]);
});
