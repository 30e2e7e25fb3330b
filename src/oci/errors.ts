/** The fourteen codes of distribution-spec §Error codes: on `/v2` nothing else may be answered. */
type OciCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS";

interface Row {
  readonly oci: OciCode;
  readonly status: number;
  readonly message: string;
}

/** Every error that the registry can answer, on both of its APIs: a row a code. The native API shows the key in lower case. */
export const ERRORS = {
  BLOB_UNKNOWN: { oci: "BLOB_UNKNOWN", status: 404, message: "blob unknown to this repository" },
  BLOB_UPLOAD_INVALID: { oci: "BLOB_UPLOAD_INVALID", status: 400, message: "the upload cannot be continued like this" },
  BLOB_UPLOAD_RANGE: { oci: "BLOB_UPLOAD_INVALID", status: 416, message: "chunks must follow each other without a gap" },
  UPLOAD_BUSY: {
    oci: "BLOB_UPLOAD_INVALID",
    status: 409,
    message: "another request is writing to this upload; when it has ended, GET the upload to learn where to go on",
  },
  BLOB_UPLOAD_UNKNOWN: { oci: "BLOB_UPLOAD_UNKNOWN", status: 404, message: "upload unknown to this repository" },
  RANGE_UNSATISFIABLE: { oci: "SIZE_INVALID", status: 416, message: "the range lies outside of the content" },
  DIGEST_INVALID: { oci: "DIGEST_INVALID", status: 400, message: "the digest is malformed or is not that of the content" },
  MANIFEST_BLOB_UNKNOWN: { oci: "MANIFEST_BLOB_UNKNOWN", status: 400, message: "the manifest names content that this repository lacks" },
  MANIFEST_INVALID: { oci: "MANIFEST_INVALID", status: 400, message: "the manifest is invalid" },
  MANIFEST_TOO_LARGE: { oci: "MANIFEST_INVALID", status: 413, message: "a manifest may have at most 4194304 bytes" },
  MANIFEST_UNKNOWN: { oci: "MANIFEST_UNKNOWN", status: 404, message: "manifest unknown to this repository" },
  NAME_INVALID: { oci: "NAME_INVALID", status: 400, message: "the repository name is invalid" },
  NAME_UNKNOWN: { oci: "NAME_UNKNOWN", status: 404, message: "repository name not known to this registry" },
  PAGE_INVALID: { oci: "UNSUPPORTED", status: 400, message: "n must be a whole number that is not negative" },
  SIZE_INVALID: { oci: "SIZE_INVALID", status: 400, message: "the length given is not that of the content" },
  UNAUTHORIZED: { oci: "UNAUTHORIZED", status: 401, message: "authentication required" },
  DENIED: { oci: "DENIED", status: 403, message: "the requested access is denied" },
  UNSUPPORTED: { oci: "UNSUPPORTED", status: 405, message: "the operation is not supported here" },
  MEDIA_TYPE_UNSUPPORTED: { oci: "UNSUPPORTED", status: 415, message: "the media type is not supported here" },
  TOO_MANY_REQUESTS: { oci: "TOOMANYREQUESTS", status: 429, message: "too many requests" },
  INVALID: { oci: "UNSUPPORTED", status: 400, message: "the request is invalid" },
  TOO_LARGE: { oci: "SIZE_INVALID", status: 413, message: "the request body is too large" },
  URL_TOO_LONG: { oci: "SIZE_INVALID", status: 414, message: "a request's URL may have at most 8192 bytes" },
  HEADERS_TOO_LARGE: { oci: "SIZE_INVALID", status: 431, message: "a request may have at most 64 headers" },
  TOO_SLOW: { oci: "BLOB_UPLOAD_INVALID", status: 408, message: "the body arrived too slowly; GET the upload to learn where to go on" },
  NOT_FOUND: { oci: "UNSUPPORTED", status: 404, message: "there is nothing here" },
  CONFLICT: { oci: "UNSUPPORTED", status: 409, message: "the state of the artifact does not allow this" },
  REFUSED: { oci: "DENIED", status: 422, message: "the promotion policy refuses this artifact" },
  STORAGE_FULL: { oci: "BLOB_UPLOAD_INVALID", status: 507, message: "the registry's storage is full; nothing was published" },
  STORAGE_FAILED: { oci: "BLOB_UPLOAD_INVALID", status: 503, message: "the registry's storage failed; nothing was published, try again" },
  UNAVAILABLE: { oci: "TOOMANYREQUESTS", status: 503, message: "the registry cannot do this now; try again" },
  INTERNAL: { oci: "UNSUPPORTED", status: 500, message: "the registry failed; its operator finds the cause by the request id" },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * The one error that use cases throw. `http/errors.ts` alone turns it into an answer.
 * `message` names the rule and the remedy, and neither paths nor internals.
 */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly code: ErrorCode;
  /** Structured facts for machines, safe to show to whoever gets the answer. */
  readonly detail: unknown;
  /** Headers that belong to the answer, such as the Range of a 416 or Retry-After. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    message: string = ERRORS[code].message,
    extra: { readonly detail?: unknown; readonly headers?: Readonly<Record<string, string>>; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: extra.cause });
    this.code = code;
    this.detail = extra.detail;
    this.headers = extra.headers ?? {};
  }
}
