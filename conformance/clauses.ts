/** Where a clause is shown: a check of the official suite by name, or a test of ours by file and title. */
type Proof = { readonly suite: string } | { readonly test: string; readonly title: string };

/** A rule of the distribution specification that binds registries, in our own words. */
export interface Clause {
  /** The heading it stands under. */
  readonly section: string;
  readonly level: "MUST" | "SHOULD";
  readonly clause: string;
  readonly shownBy: readonly Proof[];
}

const suite = (...names: readonly string[]): readonly Proof[] => names.map((name) => ({ suite: name }));
/** A test by its full title: those of its groups and its own, joined by ` > `. */
const ours = (test: string, ...titles: readonly string[]): readonly Proof[] => titles.map((title) => ({ test, title }));
const asked = (...titles: readonly string[]): readonly Proof[] => ours("test/conformance/specification.test.ts", ...titles);

/** Rows of one section. */
function under(section: string, ...rows: readonly (readonly [Clause["level"], string, ...(readonly Proof[])[]])[]): readonly Clause[] {
  return rows.map(([level, clause, ...proofs]) => ({ section, level, clause, shownBy: proofs.flat() }));
}

/**
 * Every MUST and SHOULD that the specification puts on a registry. Those on clients are left out, and so are those on what a registry may
 * leave undone and this one does: a minimum size of chunks, deletion switched off, a proxy that reads `ns`.
 */
export const CLAUSES: readonly Clause[] = [
  ...under(
    "Requirements",
    ["MUST", "all of the pull API is there", suite("image/pull/manifest-by-tag", "image/pull/manifest-by-digest", "image/pull/blob-get")],
    [
      "SHOULD",
      "push, discovery and management are there too",
      suite("image/push/manifest-by-tag", "image/tag-list", "image/delete/tag-delete"),
    ],
  ),
  ...under(
    "Pulling manifests",
    ["MUST", "a manifest is named by a tag or a digest and by nothing else", suite("invalid-digest-format/manifest-get")],
    ["SHOULD", "Content-Type of an answer has no parameters", suite("image/pull/manifest-by-digest")],
    ["SHOULD", "Content-Type of an answer is the one of the push", suite("index/pull/manifest-by-tag", "artifact/pull/manifest-by-tag")],
    [
      "MUST",
      "GET of a manifest that exists is 200 with that manifest",
      suite("image/pull/manifest-by-tag", "nested-index/pull/manifest-by-digest"),
    ],
    [
      "MUST",
      "the answer has its digest in Docker-Content-Digest",
      suite("image/pull/manifest-by-digest", "sha512/pull/manifest-by-digest"),
    ],
    ["MUST", "a manifest that is not in the repository is 404", suite("missing-manifest/by-tag", "missing-manifest/by-digest")],
    [
      "MUST",
      "a name is one of the grammar",
      ours("test/oci/reference.test.ts", "isRepositoryName > is the expression of the specification, bounded at 255 characters"),
    ],
    [
      "MUST",
      "a tag is one of the grammar, of at most 128 characters",
      ours("test/oci/reference.test.ts", "isTag > is the expression of the specification"),
    ],
  ),
  ...under(
    "Pulling blobs",
    ["MUST", "GET of a blob that exists is 200 with that blob", suite("image/pull/blob-get", "sha256 blobs/empty/blob-get")],
    [
      "MUST",
      "the answer has its digest in Docker-Content-Digest, and it is the digest of the body",
      suite("image/pull/blob-get", "sha512/pull/blob-get"),
    ],
    ["MUST", "a blob that is not in the repository is 404", suite("sha256 blobs/get-missing", "sha512 blobs/get-missing")],
    [
      "SHOULD",
      "Range is understood as RFC 9110 has it",
      suite(
        "sha256 blobs/range requests/range 500-1499",
        "sha256 blobs/range requests/range 500-",
        "sha256 blobs/range requests/range -500",
        "sha256 blobs/range requests/range 2000-5000",
        "sha256 blobs/range requests/range 500-0",
        "sha256 blobs/range requests/range 5000-10000",
      ),
    ],
  ),
  ...under(
    "Checking if content exists in the registry",
    ["MUST", "HEAD of what exists is 200", suite("image/head/manifest-head-by-tag", "image/head/blob-head")],
    ["MUST", "HEAD has the digest in Docker-Content-Digest", suite("image/head/manifest-head-by-digest", "image/head/blob-head")],
    ["MUST", "HEAD has the size in Content-Length", suite("image/head/manifest-head-by-digest", "image/head/blob-head")],
    [
      "MUST",
      "HEAD of what does not exist is 404",
      suite("image/delete/manifest-delete", "image/delete/blob-delete", "image/delete/tag-delete"),
    ],
  ),
  ...under(
    "Push",
    ["MUST", "a manifest is accepted though its subject does not exist", suite("missing-subject/push/manifest-by-digest")],
    [
      "MUST",
      "a manifest that names missing content is accepted, or refused with MANIFEST_BLOB_UNKNOWN",
      suite("sparse/push/manifest-by-digest"),
    ],
  ),
  ...under(
    "Pushing blobs",
    [
      "SHOULD",
      "an invalid digest is a 400 in every kind of push",
      suite(
        "invalid-digest-format/blob-post-put",
        "sha256 blobs/bad digest post only/blob-post-only",
        "sha256 blobs/bad digest post+put/blob-post-put",
        "sha256 blobs/bad digest stream/blob-patch-stream",
        "sha256 blobs/bad digest chunked/blob-patch-chunked",
        "sha256 blobs/bad digest chunked and put chunk/blob-patch-chunked",
      ),
    ],
    ["SHOULD", "an algorithm that is not supported is a 400", asked("blobs > an algorithm that is not supported is a 400")],
  ),
  ...under(
    "POST then PUT",
    ["MUST", "POST is 202 with the upload's Location", suite("sha256 blobs/post+put/blob-post-put")],
    [
      "MUST",
      "PUT is 201 with a Location that can be pulled",
      suite("sha256 blobs/post+put/blob-post-put", "sha512 blobs/post+put/blob-post-put"),
    ],
    ["MUST", "the Location holds a session of its own", asked("blobs > every upload has a location of its own")],
  ),
  ...under(
    "Single POST",
    ["MUST", "the digest has to be that of the body", suite("sha256 blobs/bad digest post only/blob-post-only")],
    ["MUST", "a blob pushed by one POST is 201 with a Location that can be pulled", suite("sha256 blobs/post only/blob-post-only")],
  ),
  ...under(
    "Pushing a blob in chunks",
    ["MUST", "each chunk is 202 with Location and Range", suite("sha256 blobs/chunked multi/blob-patch-chunked")],
    ["MUST", "a chunk out of order is 416", suite("sha256 blobs/chunked out-of-order/blob-patch-chunked")],
    [
      "MUST",
      "the closing PUT is 201 with a Location that can be pulled",
      suite("sha256 blobs/chunked multi and put chunk/blob-patch-chunked"),
    ],
    [
      "MUST",
      "a last chunk out of order, in the closing PUT, is 416",
      suite("sha256 blobs/chunked out-of-order and put chunk/blob-patch-chunked"),
    ],
    ["MUST", "GET of an upload under way is 204 with Location and Range", suite("sha256 blobs/chunked out-of-order/blob-patch-chunked")],
    [
      "SHOULD",
      "digest-algorithm names the algorithm beforehand",
      asked("blobs > digest-algorithm names the algorithm of the blob beforehand"),
    ],
    [
      "MUST",
      "a chunk's range includes both ends, and the first begins at 0",
      asked("blobs > a chunk is answered by Range up to its last byte, and the first must begin at 0"),
      ours("test/oci/upload.test.ts", "decideChunk > never lets a chunk through that does not begin where the upload ends"),
    ],
    ["MUST", "the closing PUT names the digest of the whole blob", asked("blobs > the closing PUT must name the digest of the whole blob")],
  ),
  ...under(
    "Cancel a blob upload",
    ["SHOULD", "DELETE of an upload is 204", suite("sha256 blobs/post cancel/blob-post-cancel")],
    ["SHOULD", "an upload that was left is removed some day", asked("an upload that nobody goes on with is removed when its time is over")],
  ),
  ...under(
    "Mounting a blob from another repository",
    ["MUST", "a mount is 201 with a Location that can be pulled", suite("sha256 blobs/mount/blob-mount", "sha512 blobs/mount/blob-mount")],
    ["MUST", "a mount without from is 201 where the blob was found", suite("sha256 blobs/mount anonymous/blob-mount-anonymous")],
    ["SHOULD", "what cannot be mounted becomes an upload: 202", suite("sha256 blobs/mount missing/blob-mount")],
  ),
  ...under(
    "Pushing Manifests",
    [
      "MUST",
      "the bytes are kept exactly, unknown fields and all",
      suite("custom-fields/pull/manifest-by-digest", "data-field/pull/manifest-by-digest"),
    ],
    ["MUST", "a push is 201 with a Location that can be pulled", suite("image/push/manifest-by-tag", "image/push/manifest-by-digest")],
    [
      "MUST",
      "the answer's digest is the one that the client gave",
      suite("image/push/manifest-by-digest", "bad-digest-image/push/manifest-by-digest"),
    ],
    [
      "SHOULD",
      "ten tags can be pushed in one request",
      suite("tag-param-sha256/push/manifest-by-digest", "tag-param-sha512/push/manifest-by-digest"),
    ],
    ["MUST", "every tag taken is named in OCI-Tag", asked("manifests > ten tags of one request are all taken and named in OCI-Tag")],
    ["MUST", "a repository that does not exist is 404", asked("manifests > a manifest of a repository that does not exist is 404")],
    [
      "SHOULD",
      "manifests of 4 megabytes are accepted",
      suite("large-manifest/push/manifest-by-tag", "large-manifest/pull/manifest-by-tag"),
    ],
    [
      "SHOULD",
      "parameters of the pushed Content-Type are ignored",
      asked("manifests > parameters of Content-Type are ignored at the push and not given back"),
    ],
    [
      "SHOULD",
      "manifests have a limit, and what is over it is a 413",
      asked("manifests > a manifest over the limit of 4 MiB is 413, and one just under it is taken"),
    ],
  ),
  ...under("Pushing Manifests with Subject", [
    "MUST",
    "OCI-Subject says that the subject was understood",
    suite("artifacts-with-subject/push/manifest-by-digest", "index-with-subject/push/manifest-by-digest"),
  ]),
  ...under(
    "Listing Tags",
    ["MUST", "the list of a repository is 200, in the given JSON form", suite("image/tag-list")],
    ["MUST", "tags are in the order of their bytes", asked("tags > are listed in the order of their bytes")],
    ["MUST", "n tags come when there are so many, and a Link to more is rel=next", asked("tags > come in pages of n that Link joins")],
    ["MUST", "n=0 is an empty list without Link", asked("tags > with n=0 are none, and no Link")],
    ["MUST", "last is a tag, after which the list begins", asked("tags > go on after last, with n and without")],
  ),
  ...under(
    "Listing Referrers",
    ["MUST", "the list is 200, and never 404", suite("empty/referrers", "artifacts-with-subject/referrers")],
    ["MUST", "the answer is an image index by type and form", suite("artifacts-with-subject/referrers")],
    ["MUST", "artifactType is that of the manifest, else the type of its config", suite("artifacts-with-subject/referrers")],
    ["MUST", "an index without artifactType has none in the list", suite("index-with-subject/referrers")],
    ["MUST", "all annotations of the manifest are in the list", suite("artifacts-with-subject/referrers", "missing-subject/referrers")],
    ["MUST", "nothing found is an empty list", suite("empty/referrers")],
    ["SHOULD", "artifactType filters the list", suite("artifacts-with-subject/referrers")],
    ["MUST", "a filter that was applied is named in OCI-Filters-Applied", suite("artifacts-with-subject/referrers")],
    ["MUST", "a digest of invalid form is a 400", asked("referrers > of something that is no digest are a 400")],
    [
      "MUST",
      "what does not fit into one manifest goes on by a Link with rel=next",
      asked("referrers > that do not fit into one manifest come in pages that Link joins"),
    ],
  ),
  ...under("Deleting tags", ["MUST", "DELETE of a tag is 202, and then the tag is 404", suite("image/delete/tag-delete")]),
  ...under(
    "Deleting Manifests",
    ["MUST", "DELETE of a manifest is 202, and then it is 404", suite("image/delete/manifest-delete")],
    [
      "MUST",
      "DELETE in a repository that does not exist is 404",
      asked("manifests > DELETE of a manifest in a repository that does not exist is 404"),
    ],
  ),
  ...under(
    "Deleting Blobs",
    ["MUST", "DELETE of a blob is 202, and then it is 404", suite("image/delete/blob-delete")],
    ["MUST", "DELETE of a blob that is not there is 404", asked("blobs > DELETE of a blob that is not there is 404")],
  ),
  ...under("Enabling the Referrers API", [
    "MUST",
    "every manifest pushed with a subject is in the list of its referrers",
    suite("artifacts-with-subject/referrers", "index-with-subject/referrers", "missing-subject/referrers"),
  ]),
  ...under("API", [
    "SHOULD",
    "what is not specified follows RFC 9110",
    asked("blobs > what the client has already is 304, as RFC 9110 has it", "manifests > HEAD says what GET says and has no body"),
  ]),
  ...under(
    "Error Codes",
    [
      "MUST",
      "an error in JSON is a list of errors, each with a code of the table",
      asked("answers > an error of %s %s is JSON with a code of the specification"),
    ],
    [
      "MUST",
      "a code is upper-case letters and underscores, and one of the table",
      ours("test/oci/errors.test.ts", "the table of errors > %s has a code of the specification, a status of an error and a message"),
    ],
    [
      "SHOULD",
      "a 429 tells by Retry-After how long to wait",
      ours("test/http/limits.test.ts", "a limit > of $what answers 429 with whole seconds to wait when $method $path has used it up"),
    ],
  ),
  ...under(
    "Warnings",
    ["MUST", "a warning has the code 299, the agent - and no date", asked("answers > a warning is 299, without agent and date, and short")],
    ["MUST", "the warnings of an answer have at most 4096 bytes", asked("answers > a warning is 299, without agent and date, and short")],
  ),
];
