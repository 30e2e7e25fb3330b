/** What a metric is: how it is counted, what it tells, by which labels, and for a histogram the upper bounds of its buckets. */
export interface Definition {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const BYTES = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11];
const REQUEST = ["http_request_method", "http_route", "http_response_status_code"];

/**
 * Every metric that there is, by the names of OpenTelemetry's conventions where those have one. No label holds the name of anything that
 * is kept here: routes are patterns, so that metrics tell nobody what there is, and their number does not grow.
 */
export const METRICS = {
  http_server_request_duration_seconds: {
    kind: "histogram",
    help: "Time from a request's headers to the end of its answer.",
    labels: REQUEST,
    buckets: SECONDS,
  },
  http_server_active_requests: { kind: "gauge", help: "Requests that are not answered to the end yet.", labels: [] },
  http_server_request_body_size_bytes: { kind: "histogram", help: "Bytes of request bodies.", labels: REQUEST, buckets: BYTES },
  http_server_response_body_size_bytes: {
    kind: "histogram",
    help: "Bytes of answers, as far as they were sent.",
    labels: REQUEST,
    buckets: BYTES,
  },
  oci_uploads_total: { kind: "counter", help: "Blob uploads, by what became of them.", labels: ["result"] },
  oci_upload_bytes_total: { kind: "counter", help: "Bytes that came in blob uploads.", labels: [] },
  oci_blob_bytes_served_total: { kind: "counter", help: "Bytes of blobs that were sent.", labels: [] },
  oci_manifest_operations_total: { kind: "counter", help: "Requests for manifests.", labels: ["op", "result"] },
  oci_mounts_total: { kind: "counter", help: "Requests to take a blob over from another repository.", labels: ["result"] },
  oci_upload_sessions: { kind: "gauge", help: "Uploads under way; counted up to a thousand.", labels: [] },
  oci_repositories: { kind: "gauge", help: "Repositories; counted up to a thousand.", labels: [] },
  oci_storage_bytes: { kind: "gauge", help: "Bytes of storage: the room that pushes may still take.", labels: ["kind"] },
  registry_artifacts: { kind: "gauge", help: "Artifacts by state.", labels: ["state"] },
  registry_damaged_blobs: { kind: "gauge", help: "Blobs that are damaged now; counted up to a thousand.", labels: [] },
  registry_transitions_total: {
    kind: "counter",
    help: "Changes of an artifact's state, refused promotions among them; from none for what was not here.",
    labels: ["from", "to", "outcome"],
  },
  registry_scan_duration_seconds: { kind: "histogram", help: "Time that looking into a file took.", labels: ["scanner"], buckets: SECONDS },
  registry_integrity_failures_total: { kind: "counter", help: "Blobs that were found damaged.", labels: [] },
  registry_last_integrity_check_timestamp_seconds: { kind: "gauge", help: "When the last check of all blobs ended.", labels: [] },
  registry_auth_attempts_total: {
    kind: "counter",
    help: "Requests with a credential, by whether it was taken.",
    labels: ["method", "outcome"],
  },
  registry_authz_denials_total: {
    kind: "counter",
    help: "Requests that were denied: for want of a permission, by a rule, to readers of what is not theirs, and logins, by why.",
    labels: ["permission", "reason"],
  },
  registry_policy_checks_total: {
    kind: "counter",
    help: "Checks of promotions that were decided, by what they came to; those of written policies together.",
    labels: ["check", "status"],
  },
  registry_review_queue_age_seconds: {
    kind: "gauge",
    help: "For how long the oldest artifact waits for a decision; looked up every ten minutes.",
    labels: [],
  },
  registry_credentials_expiring: {
    kind: "gauge",
    help: "API keys that end within a time; looked up every ten minutes.",
    labels: ["kind", "window"],
  },
  registry_tokens_issued_total: { kind: "counter", help: "Access tokens that were issued.", labels: ["grant"] },
  registry_rate_limited_total: { kind: "counter", help: "Requests that a limit turned away.", labels: ["class"] },
  registry_refused_connections_total: {
    kind: "counter",
    help: "Connections that were closed at once, and requests through a proxy that were turned away, since an address or all together had too many.",
    labels: ["bound"],
  },
  registry_audit_events_total: { kind: "counter", help: "Events that were added to the audit log.", labels: ["type"] },
  registry_config_reload_failures_total: {
    kind: "counter",
    help: "Changed TLS files that could not be used, so that the ones before are; each process that serves counts.",
    labels: [],
  },
  registry_log_lines_lost_total: {
    kind: "counter",
    help: "Lines of the log that were lost, since standard output failed or nobody read it.",
    labels: [],
  },
  registry_build_info: { kind: "gauge", help: "Always 1; the versions are its labels.", labels: ["version", "node"] },
  registry_workers: { kind: "gauge", help: "Processes that serve.", labels: [] },
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof METRICS;

/** The definition of a metric, with all that there can be of one. */
export function definitionOf(name: MetricName): Definition {
  return METRICS[name];
}
