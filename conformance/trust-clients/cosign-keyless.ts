import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cosign } from "./cosign-client.ts";
import { A_SIGNATURE, trySignatures } from "./cosign-signatures.ts";
import { ISSUER, PrivateSigstore, identityToken } from "./private-sigstore.ts";
import type { World } from "./world.ts";

const RELEASE = "https://git.corp.example/ml/demo/release";

/** Signs without a key by cosign: identities get certificates of a private instance, or of another one, and proofs or not. */
export async function tryCosignKeyless(world: World, sigstore: PrivateSigstore): Promise<void> {
  const elsewhere = await PrivateSigstore.start(await world.scratch("elsewhere"), world.programs.openssl.file);
  try {
    const sign = async (of: PrivateSigstore, signingConfig: string, subject = RELEASE): Promise<readonly string[]> => {
      const token = join(await world.scratch("token"), "token");
      await writeFile(token, identityToken(subject));
      return ["--identity-token", token, "--signing-config", signingConfig, "--trusted-root", of.files.trustedRoot];
    };
    const { files } = sigstore;
    const identities = [{ issuer: { exact: ISSUER }, subject: { exact: RELEASE } }];
    const identity = ["--certificate-identity", RELEASE, "--certificate-oidc-issuer", ISSUER];
    const manner = {
      name: "keyless",
      slug: "cosign-keyless",
      sign: await sign(sigstore, files.signingConfig),
      verify: [...identity, "--trusted-root", files.trustedRoot, "--use-signed-timestamps"],
      wanted: {
        trustRoots: { corp: await world.trustRoot("corp-cosign", files.trustedRoot) },
        authorities: [{ type: "keyless", name: "signers", trustRoot: "corp", identities }],
        require: A_SIGNATURE,
      },
    };
    await trySignatures(new Cosign(world, world.programs.cosign), manner, [
      { who: "another identity", sign: await sign(sigstore, files.signingConfig, `${RELEASE}s`), code: "identity-mismatch" },
      // Its timestamps are looked at before its certificate.
      { who: "an identity of another instance", sign: await sign(elsewhere, elsewhere.files.signingConfig), code: "timestamp-invalid" },
      { who: "the identity, in no log", sign: await sign(sigstore, files.noLog), code: "log-entry-missing" },
    ]);
  } finally {
    await elsewhere.dispose();
  }
}
