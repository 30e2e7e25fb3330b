import { expect, test } from "vitest";
import { ExportRoom } from "../../src/cli/export-tree.ts";

const MIB = 1_048_576;
const ONE = { manifests: 1, manifestBytes: 1, statementBytes: 1 };

test.each([
  ["manifests", { ...ONE, manifests: 4_999 }],
  ["bytes of manifests", { ...ONE, manifestBytes: 32 * MIB - 1 }],
  ["bytes of statements", { ...ONE, statementBytes: 128 * MIB - 1 }],
])("there is room for so many %s and no more, and what does not fit takes none", (_, most) => {
  const room = new ExportRoom();
  expect([room.take(most), room.take({ manifests: 5_000, manifestBytes: 33 * MIB, statementBytes: 129 * MIB })]).toEqual([true, false]);
  expect([room.take(ONE), room.take(ONE)]).toEqual([true, false]);
});
