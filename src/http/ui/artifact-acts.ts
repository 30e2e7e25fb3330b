import { z } from "zod";
import { digestSchema } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { approve, withdrawApproval } from "../../registry/approve.ts";
import { deleteArtifact } from "../../registry/delete-artifact.ts";
import type { FoundArtifact } from "../../registry/find-artifact.ts";
import { type ArtifactChange, groundOf } from "../../registry/possible-changes.ts";
import type { Caller } from "../../registry/ports.ts";
import { promote } from "../../registry/promote.ts";
import { quarantine } from "../../registry/quarantine.ts";
import { equalInConstantTime } from "../../registry/find-credential.ts";
import { revokeAndFollow } from "../../registry/revoke-everywhere.ts";
import { artifactPath } from "../../ui/links.ts";
import { EXPECTED_FIELD, GROUND_FIELD } from "../../ui/trust.ts";
import type { Ask, Door } from "../route.ts";
import { ARTIFACT, type ArtifactPageServices, artifactAt } from "./artifact-at.ts";
import type { PromotionRequest } from "../../registry/evaluate.ts";
import { choiceQuery } from "../../ui/promotion-choice.ts";
import { field, reasonIn } from "./form.ts";
import { redirect } from "./page.ts";
import { chosenRequest } from "./promotion-choice.ts";
import { formOf } from "./session-gate.ts";

/** What a form of an artifact's page asks for. */
interface Asked {
  readonly reason: string | null;
  /** The decision that the page showed; only of a promotion. */
  readonly expected: string | undefined;
  readonly isPermanent: boolean;
  /** What a promotion moves and covers. */
  readonly promotion: PromotionRequest;
}

type Act = (services: ArtifactPageServices, caller: Caller, artifact: FoundArtifact, asked: Asked) => Promise<unknown>;

const HAS_DECISION = z.object({ decision: z.object({ allowed: z.boolean() }) });
const EXPECTED = z.object({ expected: digestSchema });

const ACTS = {
  quarantine: (services, caller, artifact, { reason }) => quarantine(services, caller, artifact, reason),
  approve: (services, caller, artifact, { reason }) => approve(services, caller, artifact, reason),
  withdraw: (services, caller, artifact, asked) => withdrawApproval(services, caller, artifact, demandedReason(asked)),
  promote: (services, caller, artifact, asked) => {
    // Without it a promotion would rest on whatever holds by then, and not on what the person saw.
    const expected = EXPECTED.safeParse(asked).data?.expected;
    if (expected === undefined) throw new RegistryError("INVALID", "the form lacks the decision that it rests on: load the page again");
    return promote(services, caller, artifact, { ...asked.promotion, reason: asked.reason, expected });
  },
  revoke: (services, caller, artifact, asked) =>
    revokeAndFollow(services, caller, artifact, { reason: demandedReason(asked), permanent: asked.isPermanent, everywhere: false }),
  delete: (services, caller, artifact, asked) => deleteArtifact(services, caller, artifact, demandedReason(asked)),
} satisfies Readonly<Record<ArtifactChange, Act>>;

/** What the forms of an artifact's page do: each the use case of its door at `/v1`, with the same rights, rules and audit. */
export function artifactActDoors(services: ArtifactPageServices): readonly Door[] {
  return Object.entries(ACTS).map(([name, act]): Door => ({
    method: "POST",
    path: `${ARTIFACT}/${name}`,
    action: "session",
    handle: async (c, caller) => {
      const artifact = await artifactAt(services, c, caller);
      const asked = askedBy(formOf(c));
      await demandGround(services, c, caller, artifact);
      const outcome = await doneBy(() => act(services, caller, artifact, asked), name);
      const digest = artifact.record.names[0] ?? artifact.record.digest;
      const chosen = outcome === name ? "" : `&${choiceQuery(asked.promotion)}`;
      return redirect(c, artifactPath({ repository: artifact.repository, digest }, `trust?done=${outcome}${chosen}`));
    },
  }));
}

/** A promotion that a decision stands against leads to the page with that decision, which says what to do; nothing was changed. */
async function doneBy(act: () => Promise<unknown>, name: string): Promise<string> {
  try {
    await act();
    return name;
  } catch (error) {
    const isDecided = error instanceof RegistryError && HAS_DECISION.safeParse(error.detail).success;
    if (!isDecided) throw error;
    return error.code === "REFUSED" ? "refused" : "outdated";
  }
}

function askedBy(form: URLSearchParams): Asked {
  return {
    reason: reasonIn(form),
    expected: field(form, EXPECTED_FIELD),
    isPermanent: field(form, "permanent") === "yes",
    promotion: chosenRequest(form),
  };
}

function demandedReason({ reason }: Asked): string {
  if (reason === null) throw new RegistryError("INVALID", "say why: everybody who may see the artifact reads it; nothing was changed");
  return reason;
}

/** A form that was sent before, or shown for what has changed since, changes nothing: the person looks again, and decides on what is. */
async function demandGround(services: ArtifactPageServices, c: Ask, caller: Caller, artifact: FoundArtifact): Promise<void> {
  const shown = field(formOf(c), GROUND_FIELD) ?? "";
  if (equalInConstantTime(shown, await groundOf(services, caller, artifact))) return;
  throw new RegistryError(
    "CONFLICT",
    "the artifact, or your approval of it, has changed since the page was shown: nothing was changed now; look at it again",
  );
}
