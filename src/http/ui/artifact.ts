import { decisionAnswer } from "../../api/decision.ts";
import type { Realm } from "../../identity/realm.ts";
import { stateSchema } from "../../lifecycle/state.ts";
import { namespaceOf } from "../../oci/reference.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { PromotionRequest } from "../../registry/evaluate.ts";
import { type Outlook, groundOf, possibleChanges, requestOfPage } from "../../registry/possible-changes.ts";
import { ModelInsides } from "../../registry/model-insides.ts";
import { sealedMoment } from "../../registry/page-moment.ts";
import type { Caller } from "../../registry/ports.ts";
import { artifactHistory } from "../../registry/show-artifact.ts";
import { accessTab } from "../../ui/access.ts";
import { artifactPage, artifactTop } from "../../ui/artifact.ts";
import type { Html } from "../../ui/html.ts";
import { TABS, type TabName, artifactPath } from "../../ui/links.ts";
import { roomBeside } from "../../ui/room.ts";
import { MOST_TRANSITIONS, timelineTab } from "../../ui/timeline.ts";
import { trustTab } from "../../ui/trust.ts";
import type { Ask, Door } from "../route.ts";
import { ARTIFACT, type ArtifactPageServices, type Look, artifactAt, headOf, shownArtifact } from "./artifact-at.ts";
import { changesOf } from "./artifact-changes.ts";
import { cardTabOf, contentsOf, rawOf, referrersOf } from "./artifact-content.ts";
import { type Pages, redirect } from "./page.ts";
import { choiceOf, requestOfLook } from "./promotion-choice.ts";
import { provenanceTabOf } from "./artifact-provenance.ts";
import { viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

type Tab = (services: ArtifactPageServices, look: Look, insides: ModelInsides) => Promise<Html>;

const TAB_CONTENTS: Readonly<Record<TabName, Tab>> = {
  trust: trustOf,
  timeline: timelineOf,
  changes: changesOf,
  provenance: provenanceTabOf,
  contents: contentsOf,
  card: cardTabOf,
  referrers: referrersOf,
  access: accessOf,
  raw: rawOf,
};

/** The page of an artifact, with its tabs. A tag leads to what it means to the caller now, so that what is looked at does not move. */
export function artifactPageDoors(
  services: ArtifactPageServices,
  { pages, realm }: { readonly pages: Pages; readonly realm: (host: string | undefined) => Realm },
): readonly Door[] {
  const insides = new ModelInsides(services);
  const show = async (c: Ask, caller: Caller, tab: TabName): Promise<Response> => {
    const since = await sealedMoment(services, caller);
    const artifact = await artifactAt(services, c, caller);
    const shown = await shownArtifact(services, artifact);
    if (artifact.refTag !== undefined) return redirect(c, artifactPath(shown, tab));
    const head = headOf(artifact, shown, realm(c.req.header("host")));
    const top = artifactTop(head, tab, c.req.query("done"));
    const content = await TAB_CONTENTS[tab](services, { c, caller, artifact, shown, head, room: roomBeside(top) }, insides);
    const main = artifactPage(top, content);
    return pages.show(c, { title: `${shown.repository} · ${tab}`, main, live: { about: `${shown.repository}@${shown.digest}`, since } });
  };
  return [
    { method: "GET", path: ARTIFACT, action: "session", handle: (c, caller) => show(c, caller, "trust") },
    ...TABS.map(({ name: tab }): Door => ({
      method: "GET",
      path: `${ARTIFACT}/${tab}`,
      action: "session",
      handle: (c, caller) => show(c, caller, tab),
    })),
  ];
}

/** Who may ask what a promotion would decide sees that, and others what the last one did, as far as the API shows it to them. */
async function trustOf(services: ArtifactPageServices, look: Look): Promise<Html> {
  const { c, caller, artifact, shown, head } = look;
  const { request, fault, outlook } = await outlookOf(services, look);
  const { decision, hindrances } = outlook;
  return trustTab({
    artifact: shown,
    decision: decision ?? decisionAnswer.safeParse(shown.decision).data,
    isOfNow: decision !== undefined,
    approvals: shown.approvals,
    choice: decision && (await choiceOf(services, look, request, fault)),
    host: head.host,
    hindrances,
    ground: await groundOf(services, caller, artifact),
    viewer: viewerOf(c),
    room: look.room,
  });
}

interface AskedOutlook {
  readonly request: PromotionRequest;
  readonly outlook: Outlook;
  /** Why what was chosen cannot be; the outlook is then without it. */
  readonly fault: string | undefined;
}

/** What a promotion as it was chosen would decide. A tag that was pushed elsewhere meanwhile cannot be chosen. */
async function outlookOf(services: ArtifactPageServices, look: Look): Promise<AskedOutlook> {
  const { caller, artifact } = look;
  const request = requestOfLook(look);
  try {
    return { request, fault: undefined, outlook: await possibleChanges(services, caller, artifact, request) };
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== "CONFLICT") throw error;
    return { request: requestOfPage, fault: error.message, outlook: await possibleChanges(services, caller, artifact) };
  }
}

/** The newest transitions, or those before one of them. */
async function timelineOf(services: ArtifactPageServices, { c, artifact: { repository, record }, shown, room }: Look): Promise<Html> {
  const before = wholeNumber(c.req.query("before"), 9) ?? Infinity;
  const all = await artifactHistory(services, repository, record.digest);
  const asked = all.filter(({ sequence }) => sequence < before);
  const newest = asked
    .slice(-MOST_TRANSITIONS)
    .toReversed()
    .map((link) => ({ ...link, state: stateSchema.parse(link.state) }));
  return timelineTab(shown, { newest, total: asked.length }, room);
}

async function accessOf(_: ArtifactPageServices, { caller: { principal }, artifact: { repository, rights } }: Look): Promise<Html> {
  const own = namespaceOf(repository);
  const roles = principal.bindings.map(({ role, namespace }) => ({ role, namespace, applies: namespace === "*" || namespace === own }));
  return accessTab({ name: principal.name, repository, permissions: [...rights], roles });
}
