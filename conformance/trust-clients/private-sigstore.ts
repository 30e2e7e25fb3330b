import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type IncomingMessage, createServer } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { TransparencyLogEntry } from "@sigstore/protobuf-specs";
import { z } from "zod";
import * as x509 from "../../test/trust/certificates.ts";
import { ISSUER_V1, ISSUER_V2, SigstoreInstance } from "../../test/trust/sigstore-instance.ts";
import { TransparencyLog } from "../../test/trust/transparency-log.ts";
import { mustSucceed } from "../must.ts";
import { run } from "../run-program.ts";
import { createEntry, createSecondVersionEntry } from "./log-requests.ts";
import { TimestampAuthority } from "./openssl-timestamps.ts";

/** Who vouches for the identities that certificates name. */
export const ISSUER = "https://issuer.corp.example";
const VALIDITY = { start: "2020-01-01T00:00:00Z" };
const AN_HOUR = 3_600_000;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** The files by which clients know an instance. */
interface InstanceFiles {
  /** Its trusted root. */
  readonly trustedRoot: string;
  /** Where cosign signs, with the second version of the log; the same without the log, and without anything. */
  readonly signingConfig: string;
  readonly noLog: string;
  readonly noServices: string;
  /** Root and signing configuration in one, for clients in Python, with the first version of the log. */
  readonly trustConfig: string;
  /** By which cosign knows an instance up to its version 2: each part in PEM, by the variable that names its file. */
  readonly parts: Readonly<Record<string, string>>;
}

/**
 * A Sigstore instance that nobody else knows, as services on loopback that real clients sign with: certificate authority with a
 * certificate log, transparency log in both versions, and timestamp authority.
 */
export class PrivateSigstore {
  readonly url: string;
  readonly files: InstanceFiles;
  readonly #close: () => Promise<void>;

  private constructor(url: string, files: InstanceFiles, close: () => Promise<void>) {
    this.url = url;
    this.files = files;
    this.#close = close;
  }

  static async start(folder: string, openssl: string): Promise<PrivateSigstore> {
    // Everything but timestamps is from this second, which has to have come before the first of them.
    const clock = new Date(Math.ceil(Date.now() / 1_000) * 1_000);
    const parts = {
      instance: await SigstoreInstance.start({ clock }),
      log: new TransparencyLog("log.corp.example", clock, 1),
      timestamps: await TimestampAuthority.start(join(folder, "timestamps"), openssl),
      openssl,
      folder,
    };
    await sleep(Math.max(0, clock.getTime() + 1_000 - Date.now()));
    const server = createServer((request, response) => {
      answer(parts, request).then(
        ({ status = 201, type, body }) => response.writeHead(status, { "content-type": type }).end(body),
        (error: unknown) => response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ message: String(error) })),
      );
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the system gave no port");
    const url = `http://127.0.0.1:${address.port}`;
    const close = async (): Promise<void> => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    };
    return new PrivateSigstore(url, await writeFiles(url, parts), close);
  }

  async dispose(): Promise<void> {
    await this.#close();
  }
}

/** A token of the issuer for somebody, as clients hand it on; its signature is looked at by nobody. */
export function identityToken(subject: string): string {
  const now = Math.floor(Date.now() / 1_000);
  const claims = { iss: ISSUER, aud: "sigstore", sub: subject, iat: now - 5, exp: now + 3_000 };
  return [{ alg: "ES256", typ: "JWT" }, claims, "signature"]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
}

interface Parts {
  readonly instance: SigstoreInstance;
  readonly log: TransparencyLog;
  readonly timestamps: TimestampAuthority;
  readonly openssl: string;
  readonly folder: string;
}

interface Answer {
  readonly status?: number;
  readonly type: string;
  readonly body: string | Buffer;
}

function json(value: unknown): Answer {
  return { type: "application/json", body: JSON.stringify(value) };
}

async function answer(parts: Parts, request: IncomingMessage): Promise<Answer> {
  const body = await buffer(request);
  switch (new URL(request.url ?? "", "http://any").pathname) {
    case "/.well-known/openid-configuration":
      // Some clients ask for it even with a token in hand.
      return { status: 200, ...json({ authorization_endpoint: ISSUER, token_endpoint: ISSUER }) };
    case "/api/v2/signingCert":
      return { status: 200, ...json({ signedCertificateEmbeddedSct: { chain: { certificates: await certify(parts, request, body) } } }) };
    case "/api/v1/signingCert":
      return { type: "application/pem-certificate-chain", body: (await certify(parts, request, body)).join("") };
    case "/api/v1/log/entries":
      return json(createEntry(parts.log, body));
    case "/api/v2/log/entries":
      return json(TransparencyLogEntry.toJSON(createSecondVersionEntry(parts.log, body)));
    case "/api/v1/timestamp":
      return { type: "application/timestamp-reply", body: await parts.timestamps.answer(body) };
    default:
      throw new Error(`nothing is served at ${request.url ?? ""}`);
  }
}

const content = z.object({ content: z.string() });
const certificateRequest = z.object({
  credentials: z.object({ oidcIdentityToken: z.string() }).optional(),
  publicKeyRequest: z.object({ publicKey: content }).optional(),
  publicKey: content.nullish(),
  certificateSigningRequest: z.string().nullish(),
});
const certificateLog = z.object({ publicKey: z.object({ rawBytes: z.string() }) });
const claimsSchema = z.object({ iss: z.string(), sub: z.string() });

/** A certificate for whom the token names, and that of the authority, in PEM. */
async function certify(parts: Parts, request: IncomingMessage, body: Buffer): Promise<readonly string[]> {
  const asked = certificateRequest.parse(JSON.parse(body.toString("utf8")));
  const token = asked.credentials?.oidcIdentityToken ?? request.headers.authorization?.replace(/^Bearer /, "") ?? "";
  const { iss, sub } = claimsSchema.parse(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")));
  const { instance } = parts;
  const publicKey = createPublicKey(await requestedKey(parts, asked));
  const extensions = [
    ...x509.SIGNER,
    x509.subjectKeyId(publicKey),
    x509.authorityKeyId(instance.authority.publicKey),
    x509.names(x509.uri(sub)),
    x509.extension(ISSUER_V1, Buffer.from(iss)),
    x509.extension(ISSUER_V2, x509.utf8(iss)),
  ];
  const notAfter = new Date(instance.clock.getTime() + AN_HOUR);
  const { pem } = await instance.certificate({ keys: { publicKey, privateKey: publicKey }, extensions, notAfter });
  return [pem, instance.authority.pem];
}

/** The key that the certificate is asked for, in PEM: given as that, encoded once more, or in a certificate signing request. */
async function requestedKey({ openssl }: Parts, asked: z.infer<typeof certificateRequest>): Promise<string> {
  const { publicKeyRequest, publicKey, certificateSigningRequest: request } = asked;
  if (publicKeyRequest !== undefined) return publicKeyRequest.publicKey.content;
  if (publicKey) return Buffer.from(publicKey.content, "base64").toString("utf8");
  return mustSucceed(await run(openssl, ["req", "-noout", "-pubkey"], { input: Buffer.from(request ?? "", "base64") }));
}

async function writeFiles(url: string, parts: Parts): Promise<InstanceFiles> {
  const { folder } = parts;
  const writeText = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const write = (name: string, value: unknown): Promise<string> => writeText(name, JSON.stringify(value));
  const trustedRoot = trustedRootOf(parts);
  const [first, second] = [signingConfig(url, 1), signingConfig(url, 2)];
  const mediaType = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";
  return {
    trustedRoot: await write("trusted_root.json", trustedRoot),
    signingConfig: await write("signing_config.json", second),
    noLog: await write("no_log.json", { ...second, rekorTlogUrls: [] }),
    noServices: await write("no_services.json", { ...second, caUrls: [], oidcUrls: [], rekorTlogUrls: [], tsaUrls: [] }),
    parts: {
      SIGSTORE_ROOT_FILE: await writeText("authority.pem", parts.instance.authority.pem),
      SIGSTORE_CT_LOG_PUBLIC_KEY_FILE: await writeText("certificate_log.pem", publicKeyPem(certificateLogKey(parts))),
      SIGSTORE_REKOR_PUBLIC_KEY: await writeText("log.pem", publicKeyPem(parts.log.publicKey)),
    },
    trustConfig: await write("trust_config.json", { mediaType, trustedRoot, signingConfig: first }),
  };
}

function publicKeyPem(der: Buffer): string {
  return createPublicKey({ key: der, format: "der", type: "spki" }).export({ format: "pem", type: "spki" });
}

function certificateLogKey({ instance }: Parts): Buffer {
  const { publicKey } = certificateLog.parse(instance.document.ctlogs[0]);
  return Buffer.from(publicKey.rawBytes, "base64");
}

function trustedRootOf({ instance, log, timestamps }: Parts): object {
  const { certificateAuthorities, ctlogs, mediaType } = instance.document;
  const key = { rawBytes: base64(log.publicKey), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor: VALIDITY };
  const certificates = timestamps.chain.map((der) => ({ rawBytes: base64(der) }));
  // Clients in Python want to know who runs an authority.
  const subject = { organization: "corp.example", commonName: "corp" };
  return {
    mediaType,
    tlogs: [{ baseUrl: `https://${log.host}`, hashAlgorithm: "SHA2_256", publicKey: key, logId: { keyId: base64(log.id) } }],
    certificateAuthorities: certificateAuthorities.map((authority) => ({ ...authority, subject })),
    ctlogs,
    timestampAuthorities: [{ subject, uri: "https://timestamps.corp.example", certChain: { certificates }, validFor: VALIDITY }],
  };
}

function service(url: string, majorApiVersion: number): object {
  return { url, majorApiVersion, validFor: VALIDITY, operator: "corp.example" };
}

function signingConfig(url: string, logVersion: 1 | 2): object {
  return {
    mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    caUrls: [service(url, 1)],
    oidcUrls: [service(url, 1)],
    rekorTlogUrls: [service(url, logVersion)],
    rekorTlogConfig: { selector: "ANY" },
    tsaUrls: [service(`${url}/api/v1/timestamp`, 1)],
    tsaConfig: { selector: "ANY" },
  };
}
