import { keys, under } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { type IdentityRecord, credentialRecord, identityRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { credentialsOf } from "./credential-rows.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { orderedFolder, reachedFolders } from "./runtime-folders.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

const PAGE = 100;

/**
 * Ends all tokens and logins: what was taken back after the backup would be in force again. API keys go on, since nobody could get in
 * without one; they are the operator's to look through.
 */
export async function endSessions(services: Needs): Promise<void> {
  for await (const { value } of rowsOf(services, [under(keys.identities(), PAGE)]))
    await endSessionsOf(services, identityRecord.parse(value));
}

async function endSessionsOf(services: Needs, identity: IdentityRecord): Promise<void> {
  const epoch = identity.epoch + 1;
  // One of an earlier epoch had ended already.
  const going = (await credentialsOf(services, identity.name)).filter(
    ({ kind, epoch: its }) => kind === "api-key" && its === identity.epoch,
  );
  const event = auditEvent(services, SYSTEM, {
    type: "identity.end-sessions",
    target: { kind: "identity", name: identity.name },
    reason: "a backup was restored",
    before: { epoch: identity.epoch },
    after: { epoch },
  });
  await services.metadata.commit({
    expect: [],
    put: [
      { key: keys.identity(identity.name), value: { ...identity, epoch } },
      ...going.map((record) => ({ key: keys.credential(record.id), value: credentialRecord.parse({ ...record, epoch }) })),
    ],
    remove: [],
    audit: [event],
  });
}

/** Has the next start make the folders of `trusted/`, which are in no backup, as after a crash. */
export async function orderFolders(services: Needs): Promise<void> {
  let puts: Put[] = [];
  const write = async (): Promise<void> => {
    if (puts.length > 0) await services.metadata.commit({ expect: [], put: puts, remove: [], audit: [] });
    puts = [];
  };
  for await (const folder of reachedFolders(services)) {
    puts.push(orderedFolder(services, folder, services.newId()));
    if (puts.length >= PAGE) await write();
  }
  await write();
}
