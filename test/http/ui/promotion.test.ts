import { afterAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { faultsOfPage } from "../../support/browser.ts";
import { type Artifact, policyOf } from "../../support/policy-registry.ts";
import { startViewed } from "../../support/viewers.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";

const { world, operator, runtime } = await startViewed();
afterAll(() => world.registry.stop());

function pathOf({ repository, digest }: Pick<Artifact, "repository" | "digest">, below = ""): string {
  return `/ui/artifacts/${repository}@${digest}${below}`;
}

/** Another artifact of the same repository under the same tag. */
async function pushAnother(first: Artifact, subject?: Artifact): Promise<Artifact> {
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    artifactType: "application/vnd.test.note",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "text/plain", digest: digestOf("{}"), size: 2 }],
    ...(subject !== undefined && { subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size } }),
  });
  await world.pushManifest(first.repository, subject === undefined ? "v1" : digestOf(manifest), manifest);
  return { ...first, digest: digestOf(manifest), ref: `${first.repository}@${digestOf(manifest)}`, size: manifest.length };
}

async function served(repository: string, reference: string): Promise<string | null> {
  const answer = await world.registry.fetchAs("runtime", `/v2/${repository}/manifests/${reference}`);
  return answer.status === 200 ? answer.headers.get("docker-content-digest") : null;
}

test("a tag that is promoted elsewhere moves when it is chosen, and what is no evidence is covered when it is chosen", async () => {
  const first = await world.push("models/choose");
  await world.act(first, "promote");
  const second = await pushAnother(first);
  const note = await pushAnother(first, second);
  const { text: page } = await operator.get(pathOf(second));
  expect(faultsOfPage(page)).toEqual([]);
  expect(page).toContain("It moves no tag");
  expect(page).toContain(`name="tag" value="v1"`);
  expect(page).toContain(`name="cover" value="${note.digest}"`);
  const chosen = pathOf(second, `/trust?tag=v1&cover=${note.digest}`);
  const shown = await operator.get(chosen);
  expect(faultsOfPage(shown.text)).toEqual([]);
  expect(shown.text).toContain("It moves the tags v1");
  expect(await served("models/choose", "v1")).toBe(first.digest);
  expect((await operator.submit(chosen, pathOf(second, "/promote"))).status).toBe(303);
  expect(await served("models/choose", "v1")).toBe(second.digest);
  expect(await served("models/choose", note.digest)).toBe(note.digest);
});

test("without a choice a tag that is promoted elsewhere stays, and what is no evidence stays hidden", async () => {
  const first = await world.push("models/stays");
  await world.act(first, "promote");
  const second = await pushAnother(first);
  const note = await pushAnother(first, second);
  expect((await operator.submit(pathOf(second), pathOf(second, "/promote"))).status).toBe(303);
  expect([await served("models/stays", "v1"), await served("models/stays", note.digest)]).toEqual([first.digest, null]);
});

test("a choice is held to the decision that was shown with it", async () => {
  const first = await world.push("models/held");
  await world.act(first, "promote");
  const second = await pushAnother(first);
  const form = await operator.form(pathOf(second), pathOf(second, "/promote"));
  const slipped = await operator.post(form.action, { ...form.fields, tag: "v1" });
  expect(slipped.headers.location).toBe(pathOf(second, "/trust?done=outdated&tag=v1"));
  expect(await world.stateOf(second)).toBe("acquired");
  const page = await operator.get(slipped.headers.location ?? "");
  expect(page.text).toContain("What the decision rested on has changed: nothing was changed now.");
  expect(await served("models/held", "v1")).toBe(first.digest);
});

test("what cannot be chosen is said, and what is no tag or digest is refused", async () => {
  const first = await world.push("models/cannot");
  const elsewhere = await operator.get(pathOf(first, "/trust?tag=no-such-tag"));
  expect(elsewhere.status).toBe(200);
  expect(elsewhere.text).toContain("the tag no-such-tag was not pushed");
  for (const query of ["tag=%3Cscript%3E", "cover=x", "tag=a&".repeat(101)]) {
    expect((await operator.get(pathOf(first, `/trust?${query}`))).status).toBe(400);
  }
  expect((await runtime.get(pathOf(first, "/trust?tag=v1"))).status).toBe(404);
});

test("a promotion that the policy refuses by the time it is sent leads to the decision, with what to do", async () => {
  const artifact = await world.push("models/refused");
  const form = await operator.form(pathOf(artifact), pathOf(artifact, "/promote"));
  const people = { name: "people", evidence: { kind: "approvals", minimum: 1 } };
  await world.putPolicy(policyOf("late", "models/refused", { require: [people] }));
  const refused = await operator.post(form.action, form.fields);
  expect(refused.status).toBe(303);
  const page = await operator.get(refused.headers.location ?? "");
  expect(page.text).toContain("nothing was changed now");
  expect(page.text).toContain("✘ Refused: 1 check fails");
  expect(page.text).toContain("A reviewer who did not push it approves it below.");
  expect(faultsOfPage(page.text)).toEqual([]);
  expect(await world.stateOf(artifact)).toBe("acquired");
});
