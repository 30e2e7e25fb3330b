import { extname, resolve } from "node:path";

/** Where securectl looks by itself. */
const DEFAULT_URL = "http://127.0.0.1:8470";
const DEFAULT_FOLDER = "data/credentials";

/** A checkout has no programs on the path. */
const SECURECTL = extname(import.meta.filename) === ".ts" ? "npx securectl" : "securectl";

/** What the first start says of itself. */
export interface FirstSteps {
  /** Where the registry listens. */
  readonly url: string;
  readonly credentialsFolder: string;
  readonly namespace: string;
}

/**
 * What to do after a first start, as commands that work when they are pasted: push, be refused, promote, pull by digest.
 * They read the credentials from their files; no secret is ever shown (RULES 18).
 */
export function nextSteps({ url, credentialsFolder, namespace }: FirstSteps): string {
  const { host, protocol } = new URL(url);
  const plain = protocol === "http:" ? " --plain-http" : "";
  const folder = shellWord(shortest(credentialsFolder));
  const server = url === DEFAULT_URL ? "" : ` --server ${url}`;
  const operator = folder === DEFAULT_FOLDER ? "" : ` --token-file ${folder}/operator`;
  const model = `${host}/${namespace}/hello`;
  return `
The registry listens on ${url}
This was its first start: it made three identities, whose keys are in ${folder}, one a file: publisher, operator, runtime.

  # a publisher pushes a model; nobody but publishers, scanners and reviewers sees it
  model=$(mktemp -d) && echo "stands for weights" > "$model/weights.gguf"
  oras login ${host}${plain} --username publisher --password-stdin < ${folder}/publisher
  (cd "$model" && oras push ${model}:v1${plain} \\
    --artifact-type application/vnd.cncf.model.manifest.v1+json weights.gguf:application/vnd.cncf.model.weight.v1.raw)

  # an operator looks at what a promotion would decide, and promotes it
  ${SECURECTL} evaluate ${namespace}/hello:v1${server}${operator}
  ${SECURECTL} promote ${namespace}/hello:v1 --reason "reviewed by hand"${server}${operator}

  # a runtime pulls it by its digest
  oras login ${host}${plain} --username runtime --password-stdin < ${folder}/runtime
  oras pull "${model}@$(oras resolve ${model}:v1${plain})"${plain} --output "$model/pulled"

`;
}

/** As somebody in a checkout would write it; else the whole path, since nobody knows where the reader stands. */
function shortest(path: string): string {
  return path === resolve(DEFAULT_FOLDER) ? DEFAULT_FOLDER : path;
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
