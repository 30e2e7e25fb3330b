import { createHash } from "node:crypto";
import { z } from "zod";
import type { LogBody, LogEntry, TransparencyLog } from "../../test/trust/transparency-log.ts";

const hex = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");
const hash = (bytes: Buffer | string): object => ({ algorithm: "sha256", value: hex(bytes) });

const rekordSchema = z.object({
  kind: z.literal("hashedrekord"),
  apiVersion: z.literal("0.0.1"),
  spec: z.object({
    data: z.object({ hash: z.object({ algorithm: z.string(), value: z.string() }) }),
    signature: z.object({ content: z.string(), publicKey: z.object({ content: z.string() }) }),
  }),
});
const dsseSchema = z.object({
  kind: z.literal("dsse"),
  apiVersion: z.literal("0.0.1"),
  spec: z.object({ proposedContent: z.object({ envelope: z.string(), verifiers: z.array(z.string()) }) }),
});
const proposalSchema = z.union([rekordSchema, dsseSchema]);
const envelopeSchema = z.object({ payload: z.string(), signatures: z.array(z.object({ sig: z.string() })) });

/** Enters what a client of the log's first version proposes, and answers as that log does. */
export function createEntry(log: TransparencyLog, request: Buffer): object {
  const proposal = proposalSchema.parse(JSON.parse(request.toString("utf8")));
  const entry = log.entry(proposal.kind === "dsse" ? dsseBody(proposal) : proposal);
  const { rootHash, hashes = [], treeSize, checkpoint } = entry.inclusionProof ?? {};
  const logIndex = Number(entry.logIndex);
  return {
    [hex(entry.canonicalizedBody)]: {
      body: entry.canonicalizedBody.toString("base64"),
      integratedTime: Number(entry.integratedTime),
      logID: entry.logId.keyId.toString("hex"),
      logIndex,
      verification: {
        inclusionProof: {
          logIndex,
          treeSize: Number(treeSize),
          rootHash: rootHash?.toString("hex"),
          hashes: hashes.map((each) => each.toString("hex")),
          checkpoint: checkpoint?.envelope,
        },
        signedEntryTimestamp: entry.inclusionPromise?.signedEntryTimestamp.toString("base64"),
      },
    },
  };
}

/** An envelope is logged by its hashes and signatures, without what it says. */
function dsseBody({ kind, apiVersion, spec: { proposedContent } }: z.infer<typeof dsseSchema>): LogBody {
  const { payload, signatures } = envelopeSchema.parse(JSON.parse(proposedContent.envelope));
  return {
    kind,
    apiVersion,
    spec: {
      envelopeHash: hash(proposedContent.envelope),
      payloadHash: hash(Buffer.from(payload, "base64")),
      signatures: signatures.map(({ sig }, at) => ({ signature: sig, verifier: proposedContent.verifiers[at] })),
    },
  };
}

const rawBytes = z.object({ rawBytes: z.string() });
const secondVersionSchema = z.object({
  hashedRekordRequestV002: z.object({
    digest: z.string(),
    signature: z.object({
      content: z.string(),
      verifier: z.object({ x509Certificate: rawBytes.optional(), publicKey: rawBytes.optional(), keyDetails: z.string() }),
    }),
  }),
});

/** Enters what a client of the log's second version proposes; that log promises nothing and tells no time. */
export function createSecondVersionEntry(log: TransparencyLog, request: Buffer): LogEntry {
  const { digest, signature } = secondVersionSchema.parse(JSON.parse(request.toString("utf8"))).hashedRekordRequestV002;
  const hashedRekordV002 = { data: { algorithm: "SHA2_256", digest }, signature };
  const entry = log.entry({ kind: "hashedrekord", apiVersion: "0.0.2", spec: { hashedRekordV002 } });
  return { ...entry, integratedTime: "0", inclusionPromise: undefined };
}
