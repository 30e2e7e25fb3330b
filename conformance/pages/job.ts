import { must } from "../must.ts";
import { examine } from "./examine.ts";
import type { Findings } from "./findings.ts";
import type { Visitor } from "./visitor.ts";
import { type World, pageOf } from "./world.ts";

/** Who does the job, and where it is watched. */
export interface JobPeople {
  readonly reviewer: Visitor;
  readonly operator: Visitor;
}

/**
 * The whole job by pages: a reviewer finds what waits, reads why it is refused, evidence is attached, it is approved and promoted, a runtime
 * pulls it by digest, it is revoked, and the runtime is denied.
 */
export async function doJob(world: World, { reviewer, operator }: JobPeople, findings: Findings): Promise<void> {
  const repository = `models/job-${reviewer.scripts ? "with" : "without"}-scripts`;
  const look = (who: Visitor, state: string): Promise<void> =>
    reviewer.scripts ? examine(who, `the job: ${state}`, findings, false) : Promise.resolve();
  await world.demandSignature(repository);
  const artifact = await world.push(repository, [{ title: "weights.gguf", bytes: `weights of ${repository}` }]);
  must((await world.pull(artifact)) === 404, "a runtime gets what nobody promoted");

  await reviewer.signIn(await world.key(reviewer.name));
  await reviewer.follow("in the review queue");
  await reviewer.reads("What waits for a decision");
  await reviewer.page.getByRole("row", { name: repository }).getByRole("link").first().click();
  await reviewer.reads("2 checks fail");
  await reviewer.reads(/signed/);
  await look(reviewer, "refused");

  await world.sign(artifact);
  await reviewer.page.reload();
  await reviewer.reads("1 check fails");
  await reviewer.page
    .locator("form", { hasText: "Your word, signed" })
    .getByLabel(/Reason/)
    .fill("read the card, ran the tests");
  await reviewer.press("Approve");
  await reviewer.reads("Your approval is signed and counts.");
  await reviewer.reads("Allowed by");
  await look(reviewer, "approved");

  await operator.signIn();
  await operator.visit(pageOf(artifact));
  await operator.press("Promote");
  await operator.reads("It is trusted now");
  must((await world.pull(artifact)) === 200, "a runtime does not get what was promoted");
  await look(operator, "promoted");

  await operator.page
    .locator("form", { hasText: "Takes it away" })
    .getByLabel(/Reason/)
    .fill("it leaks its training data");
  await operator.press("Revoke");
  await operator.reads("Revoked in this repository");
  const denied = await world.try("runtime", `GET /v2/${repository}/manifests/${artifact.digest}`);
  must(denied.status === 403 && denied.text.includes("it leaks"), `a runtime is answered ${denied.status} ${denied.text}`);
  await look(operator, "revoked");

  await reviewer.visit(pageOf(artifact, "/timeline"));
  await reviewer.reads("it leaks its training data");
  await reviewer.press("Sign out");
  await reviewer.page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await reviewer.visit(pageOf(artifact));
  await reviewer.page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
}
