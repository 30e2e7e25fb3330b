import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as x509 from "../../test/trust/certificates.ts";
import { mustSucceed } from "../must.ts";
import { run } from "../run-program.ts";

/** What `openssl ts` needs to know; whole seconds, since the Sigstore library refuses times with one or two decimals. */
const SETTINGS = `
[tsa]
default_tsa = corp
[corp]
serial = serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.57264.2
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
`;

/** An RFC 3161 timestamp authority that openssl runs, with certificates of its own. */
export class TimestampAuthority {
  /** The signer's certificate and its root, in DER. */
  readonly chain: readonly Buffer[];
  readonly #folder: string;
  readonly #openssl: string;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, openssl: string, chain: readonly Buffer[]) {
    this.#folder = folder;
    this.#openssl = openssl;
    this.chain = chain;
  }

  static async start(folder: string, openssl: string): Promise<TimestampAuthority> {
    await mkdir(folder, { recursive: true });
    const validity = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2045-01-01T00:00:00Z") };
    const root = x509.issue({ ...validity, subject: [[x509.CN, "corp timestamps"]], extensions: x509.AUTHORITY });
    const purpose = x509.onlyPurpose(x509.PURPOSES.timeStamping);
    const signer = x509.issue({ ...validity, subject: [[x509.CN, "corp timestamp"]], extensions: [x509.keyUsage(0x80), purpose] }, root);
    await writeFile(join(folder, "settings.cnf"), SETTINGS);
    await writeFile(join(folder, "serial"), "01\n");
    await writeFile(join(folder, "signer.pem"), signer.pem);
    await writeFile(join(folder, "key.pem"), signer.key.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
    return new TimestampAuthority(folder, openssl, [signer.der, root.der]);
  }

  /** The answer to a request, both in DER; one at a time, since openssl counts serial numbers in a file. */
  async answer(request: Uint8Array): Promise<Buffer> {
    const answered = this.#last.then(() => this.#reply(request));
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  async #reply(request: Uint8Array): Promise<Buffer> {
    await writeFile(join(this.#folder, "request.tsq"), request);
    const keys = ["-signer", "signer.pem", "-inkey", "key.pem"];
    const files = ["-queryfile", "request.tsq", "-out", "response.tsr"];
    mustSucceed(await run(this.#openssl, ["ts", "-reply", "-config", "settings.cnf", ...keys, ...files], { cwd: this.#folder }));
    return readFile(join(this.#folder, "response.tsr"));
  }
}
