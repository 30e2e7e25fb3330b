import { type KeyObject, createHash, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { canonicalJson } from "../../src/oci/canonical-json.ts";

const DAY = 86_400_000;
const TARGET = "trusted_root.json";

interface RoleKey {
  readonly id: string;
  readonly key: object;
  readonly privateKey: KeyObject;
}

/** What a TUF repository says; all of it can be made wrong. */
export interface TufState {
  readonly target: string;
  readonly version?: number;
  /** How many days from now the timestamp role's metadata hold. */
  readonly timestampDays?: number;
}

/** A TUF repository of our own on loopback, which signs a new state of itself whenever it is told to. */
export class TufRepositoryOnLoopback {
  readonly #keys = { root: roleKey(), timestamp: roleKey(), snapshot: roleKey(), targets: roleKey() };
  readonly #server: Server;
  #files = new Map<string, Buffer>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const file = this.#files.get(request.url ?? "");
      response.writeHead(file === undefined ? 404 : 200);
      response.end(file);
    });
  }

  static async start(state: TufState): Promise<TufRepositoryOnLoopback> {
    const repository = new TufRepositoryOnLoopback();
    repository.publish(state);
    repository.#server.listen(0, "127.0.0.1");
    await once(repository.#server, "listening");
    return repository;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The root metadata that clients begin with. */
  get root(): Buffer {
    const roles = Object.entries(this.#keys);
    const signed = {
      ...expiring("root", 1, 365),
      consistent_snapshot: true,
      keys: Object.fromEntries(roles.map(([, { id, key }]) => [id, key])),
      roles: Object.fromEntries(roles.map(([role, { id }]) => [role, { keyids: [id], threshold: 1 }])),
    };
    return signedBy(this.#keys.root, signed);
  }

  publish({ target, version = 1, timestampDays = 7 }: TufState): void {
    const bytes = Buffer.from(target);
    const { timestamp, snapshot, targets } = this.#keys;
    const described = { length: bytes.length, hashes: { sha256: sha256(bytes) } };
    const targetsFile = signedBy(targets, { ...expiring("targets", version, 90), targets: { [TARGET]: described } });
    const snapshotFile = signedBy(snapshot, { ...expiring("snapshot", version, 30), meta: { "targets.json": meta(targetsFile, version) } });
    const timestampFile = signedBy(timestamp, {
      ...expiring("timestamp", version, timestampDays),
      meta: { "snapshot.json": meta(snapshotFile, version) },
    });
    this.#files = new Map([
      [`/${version}.targets.json`, targetsFile],
      [`/${version}.snapshot.json`, snapshotFile],
      ["/timestamp.json", timestampFile],
      [`/targets/${sha256(bytes)}.${TARGET}`, bytes],
    ]);
  }

  /** Serves other bytes in the place of a file whose name contains this. */
  tamper(name: string, bytes: string): void {
    for (const path of this.#files.keys()) if (path.includes(name)) this.#files.set(path, Buffer.from(bytes));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}

function roleKey(): RoleKey {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const key = { keytype: "ed25519", scheme: "ed25519", keyval: { public: raw.toString("hex") } };
  return { id: sha256(canonicalJson(key)), key, privateKey };
}

function expiring(type: string, version: number, days: number): object {
  const expires = new Date(Date.now() + days * DAY).toISOString().replace(/\.\d+Z$/, "Z");
  return { _type: type, spec_version: "1.0.31", version, expires };
}

function meta(bytes: Buffer, version: number): object {
  return { version, length: bytes.length, hashes: { sha256: sha256(bytes) } };
}

function signedBy({ id, privateKey }: RoleKey, signed: object): Buffer {
  const sig = sign(null, Buffer.from(canonicalJson(signed)), privateKey).toString("hex");
  return Buffer.from(JSON.stringify({ signatures: [{ keyid: id, sig }], signed }));
}

function sha256(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
