import { bundleFromJSON, bundleToJSON } from "@sigstore/bundle";
import { COSIGN_SIGN } from "../../../src/trust/signed-claim.ts";
import { type BundleJson, HEX, type Layer, keyAuthority } from "../../trust/evidence.ts";
import { type SigstoreInstance, dsseBundle, keySigner, statement } from "../../trust/sigstore-instance.ts";
import { entryBody } from "../../trust/transparency-log.ts";
import {
  KEY,
  type Short,
  bundleRow,
  byKey,
  byWorkflow,
  certified,
  dsse,
  layerOf,
  tampered,
  tamperedEntry,
  workflowSigned,
} from "./signed.ts";
import { type Instances, type Row, rootWith } from "./world.ts";

const SPARE = keySigner();
const EARLY = "2021-01-01T00:00:00Z";

/** The log of `corp` was given up long ago, that of `other` is in use. */
const oldLog = ({ corp, other }: Instances): object => {
  const tlogs = corp.document.tlogs.map((log) => ({
    ...log,
    publicKey: { ...log.publicKey, validFor: { start: "2020-01-01T00:00:00Z", end: EARLY } },
  }));
  return rootWith(corp.document, { tlogs: [...tlogs, ...other.document.tlogs] });
};
const bothLogs = ({ corp, other }: Instances): object =>
  rootWith(corp.document, { tlogs: [...corp.document.tlogs, ...other.document.tlogs] });
const loggedElsewhere = async ({ corp, other }: Instances): Promise<Layer> =>
  layerOf(await dsse(await corp.identitySigner(), [other.logged(), corp.timestamped()]));
const logged = async ({ corp }: Instances): Promise<Layer> => layerOf(await dsse(KEY, [corp.logged()]));

const validityRows: readonly Row[] = [
  {
    what: "7: a key that is listed twice, once as revoked",
    code: "key-not-valid-then",
    demand: () => ({
      authorities: [
        keyAuthority([], {
          keys: [
            { id: "revoked", pem: KEY.pem, revokedAt: EARLY },
            { id: "again", pem: KEY.pem },
            { id: "spare", pem: SPARE.pem },
          ],
          timestamps: 1,
        }),
      ],
    }),
    evidence: async ({ corp }) => layerOf(await dsse(KEY, [corp.timestamped()])),
    good: async ({ corp }) => layerOf(await dsse(SPARE, [corp.timestamped()])),
  },
  {
    what: "8: a log entry of a strange log, where entries are ignored",
    code: "ok",
    demand: byKey(),
    evidence: async ({ other }) => layerOf(await dsse(KEY, [other.logged()])),
    good: null,
  },
  {
    what: "8: a timestamp of a strange authority, where none is asked for",
    code: "ok",
    demand: byKey(),
    evidence: async ({ other }) => layerOf(await dsse(KEY, [other.timestamped()])),
    good: null,
  },
  {
    what: "8: a log entry of a strange log, where one is asked for",
    code: "log-promise-invalid",
    demand: byKey({ tlog: 1 }),
    evidence: async ({ other }) => layerOf(await dsse(KEY, [other.logged()])),
    good: logged,
  },
  {
    what: "9: an entry of a log whose key had ended, with a promise",
    code: "log-promise-invalid",
    demand: (instances) => byWorkflow({}, { root: oldLog(instances) })(),
    evidence: async ({ corp }) => layerOf(await dsse(await corp.identitySigner(), [corp.logged(), corp.timestamped()])),
    good: loggedElsewhere,
  },
  {
    what: "9: an entry of a log whose key had ended, without a promise",
    code: "log-key-expired",
    demand: (instances) => byWorkflow({}, { root: oldLog(instances) })(),
    evidence: async ({ corp }) => layerOf(await dsse(await corp.identitySigner(), [corp.logged("v2"), corp.timestamped()])),
    good: loggedElsewhere,
  },
];

const tenths: Row = {
  what: "15: a timestamp with tenths of a second, which the library cannot read",
  code: "timestamp-malformed",
  demand: ({ corp, tenths: { document } }) =>
    byKey(
      { timestamps: 1 },
      {
        root: rootWith(corp.document, { timestampAuthorities: [...corp.document.timestampAuthorities, ...document.timestampAuthorities] }),
      },
    )(),
  evidence: async (instances) => layerOf(await dsse(KEY, [instances.tenths.timestamped()])),
  good: async ({ corp }) => layerOf(await dsse(KEY, [corp.timestamped()])),
};

const sparse: Row = {
  what: "16: the first entry of a log, of which JSON drops the place and the empty proof",
  code: "ok",
  demand: byKey({ tlog: 1 }),
  evidence: async ({ corp }) =>
    layerOf(
      await tamperedEntry(dsse(KEY, [corp.logged()]), ({ inclusionProof }) => ({
        logIndex: undefined,
        inclusionProof: { checkpoint: inclusionProof?.checkpoint },
      })),
    ),
  good: null,
};

const inBothLogs = async ({ corp, other }: Instances): Promise<Layer> =>
  layerOf(await dsse(await corp.identitySigner(), [corp.logged(), other.logged("v2"), corp.timestamped()]));
const twoTimes = async ({ corp }: Instances): Promise<Layer> =>
  layerOf(await dsse(await corp.identitySigner(), [corp.logged(), corp.timestamped()]));

const thresholdRows: readonly Row[] = [
  {
    what: "18: two entries of one log, where two logs are asked for",
    code: "log-entry-missing",
    demand: (instances) => byWorkflow({ tlog: 2 }, { root: bothLogs(instances) })(),
    evidence: async ({ corp }) =>
      layerOf(await dsse(await corp.identitySigner(), [corp.logged("v1"), corp.logged("v2"), corp.timestamped()])),
    good: inBothLogs,
  },
  {
    what: "18: one log entry twice",
    code: "log-entry-duplicate",
    demand: (instances) => byWorkflow({ tlog: 2 }, { root: bothLogs(instances) })(),
    evidence: async (instances) => layerOf(await tampered(certified(instances), repeatEntry)),
    good: inBothLogs,
  },
  {
    what: "18: one timestamp twice",
    code: "timestamp-duplicate",
    demand: byWorkflow({ timestamps: 2 }),
    evidence: async ({ corp }) => layerOf(await dsse(await corp.identitySigner(), [corp.timestamped(), corp.timestamped(), corp.logged()])),
    good: twoTimes,
  },
  {
    what: "18: one authority for timestamps, where two who tell the time are asked for",
    code: "timestamp-missing",
    demand: byWorkflow({ timestamps: 2 }),
    evidence: async (instances) => layerOf(await certified(instances)),
    good: twoTimes,
  },
  {
    what: "18: two timestamps of one authority, at different times",
    code: "timestamp-missing",
    demand: ({ ticking }) => byWorkflow({ timestamps: 2 }, { root: ticking.document })(),
    evidence: async ({ ticking, tick }) => {
      const once = await dsse(await ticking.identitySigner(), [ticking.logged("v2"), ticking.timestamped()]);
      tick.setTime(tick.getTime() + 60_000);
      return layerOf(await tampered(Promise.resolve(once), (copy) => timestampAgain(copy, ticking)));
    },
    good: async ({ ticking }) => layerOf(await dsse(await ticking.identitySigner(), [ticking.logged(), ticking.timestamped()])),
  },
];

const entryRows: readonly Short[] = [
  [
    "about another payload",
    "log-entry-mismatch",
    (instances) => entered(instances, async () => entryBody("v1", await elsewhere(), KEY.pem)),
  ],
  [
    "of a kind that is not known",
    "log-entry-mismatch",
    (instances) => entered(instances, () => ({ apiVersion: "0.0.1", kind: "rpm", spec: {} })),
  ],
  ["whose key is none", "log-entry-mismatch", (instances) => entered(instances, (content) => entryBody("v1", content, "no key"))],
  ["that names another key", "log-entry-other-signer", (instances) => entered(instances, (content) => entryBody("v1", content, SPARE.pem))],
  [
    "with neither promise nor proof",
    "log-proof-invalid",
    ({ corp }) =>
      tamperedEntry(dsse(KEY, [corp.logged("v2")]), () => ({
        inclusionProof: { checkpoint: { envelope: "" } },
        inclusionPromise: undefined,
      })),
  ],
];

const nobodysEntry: Short = [
  "that the log signed although it breaks the library",
  "malformed",
  (instances) => entered(instances, () => ({ apiVersion: "0.0.1", kind: "dsse", spec: null as never })),
];

const certificateLogRows: readonly Row[] = [
  {
    what: "a certificate that is in no certificate log",
    code: "ct-missing",
    demand: byWorkflow(),
    evidence: async (instances) => layerOf(await certified(instances, { isLogged: false })),
    good: workflowSigned,
  },
  {
    what: "a certificate that is in no certificate log, where none is asked for",
    code: "ok",
    demand: byWorkflow({ ctlog: 0 }),
    evidence: async (instances) => layerOf(await certified(instances, { isLogged: false })),
    good: null,
  },
  {
    what: "a certificate that a strange log has logged",
    code: "ct-invalid",
    demand: ({ corp, other }) =>
      byWorkflow(
        {},
        {
          root: rootWith(corp.document, {
            ctlogs: other.document.ctlogs,
            certificateAuthorities: [...corp.document.certificateAuthorities, ...other.document.certificateAuthorities],
          }),
        },
      )(),
    evidence: (instances) => certified(instances).then(layerOf),
    good: async ({ corp, other }) => layerOf(await dsse(await other.identitySigner(), [corp.logged()])),
  },
];

/** What logs and authorities prove: numbers 7 to 9, 15, 16 and 18 of trust.md §2.3, and what log entries are about. */
export const PROOF_ROWS: readonly Row[] = [
  ...validityRows,
  tenths,
  sparse,
  ...thresholdRows,
  ...[...entryRows, nobodysEntry].map(([what, code, evidence]) =>
    bundleRow([`a log entry ${what}`, code, evidence], byKey({ tlog: 1 }), logged),
  ),
  ...certificateLogRows,
];

type Content = Parameters<typeof entryBody>[1];
type Body = ReturnType<typeof entryBody>;

/** The key's signature, with a log entry of this body. */
async function entered({ corp }: Instances, bodyOf: (content: Content) => Body | Promise<Body>): Promise<object> {
  const bundle = bundleFromJSON(await dsse(KEY));
  bundle.verificationMaterial.tlogEntries = [corp.log.entry(await bodyOf(bundle.content))];
  return bundleToJSON(bundle);
}

async function elsewhere(): Promise<Content> {
  return bundleFromJSON(await dsseBundle(KEY, statement(HEX, COSIGN_SIGN, { note: "another" }))).content;
}

function repeatEntry({ verificationMaterial: { tlogEntries } }: BundleJson): void {
  tlogEntries.push(...tlogEntries.map((entry) => ({ ...entry, inclusionPromise: undefined }) as never));
}

async function timestampAgain({ dsseEnvelope, verificationMaterial }: BundleJson, instance: SigstoreInstance): Promise<void> {
  const second = await instance.timestamp(Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64"));
  verificationMaterial.timestampVerificationData.rfc3161Timestamps.push({ signedTimestamp: second.toString("base64") });
}
