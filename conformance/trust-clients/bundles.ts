import { z } from "zod";

const dsseBundle = z.looseObject({
  dsseEnvelope: z.looseObject({ payload: z.string(), signatures: z.tuple([z.looseObject({ sig: z.string() })]) }),
});

/** A bundle whose statement says something else than what was signed. */
export function withOtherPayload(bytes: Uint8Array, change: (payload: string) => string): Buffer {
  const bundle = dsseBundle.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  const before = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString("utf8");
  const payload = change(before);
  if (payload === before) throw new Error("the change of the payload changed nothing");
  const dsseEnvelope = { ...bundle.dsseEnvelope, payload: Buffer.from(payload).toString("base64") };
  return Buffer.from(JSON.stringify({ ...bundle, dsseEnvelope }));
}

/** The statement of a bundle, and the bytes that its signature is over, with that signature. */
export function signedParts(bytes: Uint8Array): { readonly statement: string; readonly signed: Buffer; readonly signature: Buffer } {
  const { payload, payloadType, signatures } = dsseBundle
    .extend({ dsseEnvelope: dsseBundle.shape.dsseEnvelope.extend({ payloadType: z.string() }) })
    .parse(JSON.parse(Buffer.from(bytes).toString("utf8"))).dsseEnvelope;
  const statement = Buffer.from(payload, "base64");
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${statement.length} `;
  return {
    statement: statement.toString("utf8"),
    signed: Buffer.concat([Buffer.from(head), statement]),
    signature: Buffer.from(signatures[0].sig, "base64"),
  };
}
