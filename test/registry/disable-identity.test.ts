import { expect, test } from "vitest";
import { disableIdentity } from "../../src/registry/disable-identity.ts";
import { findIdentity } from "../../src/registry/identities.ts";
import { startIdentities } from "../support/identities.ts";

test("two operators who disable each other at one moment leave one of them", async () => {
  const store = await startIdentities();
  try {
    const ann = await store.identity("ann", [{ role: "operator", namespace: "*" }]);
    const ben = await store.identity("ben", [{ role: "operator", namespace: "*" }]);
    const ended = await Promise.allSettled([
      disableIdentity(store.services, ann.caller, { name: "ben", isDisabled: true, reason: "gone" }),
      disableIdentity(store.services, ben.caller, { name: "ann", isDisabled: true, reason: "gone" }),
    ]);
    expect(ended.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    const disabled = await Promise.all(["ann", "ben"].map(async (name) => (await findIdentity(store.services, name))?.record.disabled));
    expect(disabled.filter((each) => each === true)).toHaveLength(1);
  } finally {
    await store.close();
  }
});
