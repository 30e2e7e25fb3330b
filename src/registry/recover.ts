import { join } from "node:path";
import { keys } from "../storage/keys.ts";
import type { IdentityRecord } from "../storage/records.ts";
import { writeSecretFile } from "../storage/secret-file.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { credentialPuts, freshCredential } from "./credential-rows.ts";
import { findIdentity, identityPuts } from "./identities.ts";
import type { Services } from "./ports.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const OPERATOR = "operator";

/**
 * Makes a new operator key for who is on the machine and has lost the old one (RULES 18), and an operator where it is gone or disabled.
 * The secret goes into `<credentials folder>/operator`, whose path is answered; keys that exist go on working.
 */
export async function recoverOperator(services: Needs, credentialsFolder: string): Promise<string> {
  const secret = await decideAndCommit(services, async () => {
    const found = await findIdentity(services, OPERATOR);
    const operator = restored(found?.record, services.clock());
    const key = freshCredential(services, {
      kind: "api-key",
      identity: OPERATOR,
      createdBy: SYSTEM.principal,
      expiresAt: null,
      idleMilliseconds: null,
      parent: null,
      epoch: operator.epoch,
    });
    const event = auditEvent(services, SYSTEM, {
      type: "operator.recover",
      target: { kind: "credential", name: key.record.id },
      before: { existed: found !== undefined, disabled: found?.record.disabled ?? false },
      after: { identity: OPERATOR, expiresAt: null },
    });
    return {
      change: {
        expect: [{ key: keys.identity(OPERATOR), version: found?.version ?? "absent" }],
        put: [...identityPuts(operator), ...credentialPuts(key.record)],
        remove: [],
        audit: [event],
      },
      result: key.secret,
    };
  });
  const path = join(credentialsFolder, OPERATOR);
  await writeSecretFile(path, secret);
  return path;
}

function restored(known: IdentityRecord | undefined, now: number): IdentityRecord {
  const fresh: IdentityRecord = {
    v: 1,
    name: OPERATOR,
    kind: "service",
    bindings: [],
    disabled: false,
    epoch: 0,
    createdBy: SYSTEM.principal,
    createdAt: now,
    countsAs: OPERATOR,
  };
  const { bindings } = known ?? fresh;
  const others = bindings.filter(({ role }) => role !== "operator");
  return { ...(known ?? fresh), bindings: [...others, { role: "operator", namespace: "*" }], disabled: false };
}
