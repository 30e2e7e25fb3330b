import type { Meter } from "../metrics/metric-set.ts";
import { type Ask, isHead } from "./route.ts";

/** A request that was answered, or whose client went away before. */
interface Answered {
  readonly method: string;
  /** The pattern of its door. */
  readonly route: string;
  readonly status: number;
  /** Bytes of the bodies, as far as they came and went. */
  readonly received: number;
  readonly sent: number;
}

const UPLOADS = /^\/v2\/:name\/blobs\/uploads\//;

/** Counts a request from its headers on; what it came to is counted when the answer ends. */
export function observeRequest(c: Ask, route: string, meter: Meter): void {
  const { incoming, outgoing } = c.env;
  const { socket } = incoming;
  const [began, read, written] = [performance.now(), socket.bytesRead, socket.bytesWritten];
  meter.add("http_server_active_requests");
  outgoing.once("close", () => {
    meter.add("http_server_active_requests", {}, -1);
    const announced = Number(outgoing.getHeader("content-length") ?? 0);
    const answered: Answered = {
      method: incoming.method ?? "",
      route,
      status: outgoing.statusCode,
      received: incoming.complete ? Number(incoming.headers["content-length"] ?? socket.bytesRead - read) : socket.bytesRead - read,
      sent: outgoing.writableFinished ? (isHead(c) ? 0 : announced) : socket.bytesWritten - written,
    };
    const labels = { http_request_method: answered.method, http_route: route, http_response_status_code: String(answered.status) };
    meter.observe("http_server_request_duration_seconds", labels, (performance.now() - began) / 1000);
    meter.observe("http_server_request_body_size_bytes", labels, answered.received);
    meter.observe("http_server_response_body_size_bytes", labels, answered.sent);
    countCredential(c, answered, meter);
    countTransfer(c, answered, meter);
  });
}

function countCredential(c: Ask, { method, route, status }: Answered, meter: Meter): void {
  const [scheme] = (c.req.header("authorization") ?? "").toLowerCase().split(" ", 1);
  if (scheme !== "") {
    const outcome = status === 401 ? "refused" : status === 429 ? "limited" : "taken";
    meter.add("registry_auth_attempts_total", { method: scheme === "basic" || scheme === "bearer" ? scheme : "other", outcome });
  }
  if (route === "/auth/token" && status === 200) meter.add("registry_tokens_issued_total", { grant: method === "GET" ? "basic" : "oauth" });
}

function countTransfer(c: Ask, answered: Answered, meter: Meter): void {
  const { method, route, status, received, sent } = answered;
  if (UPLOADS.test(route)) {
    meter.add("oci_upload_bytes_total", {}, received);
    if (method === "POST" && c.req.query("mount") !== undefined) meter.add("oci_mounts_total", { result: resultOf(status, "mounted") });
    else meter.add("oci_uploads_total", { result: uploadResult(answered) });
  } else if (route === "/v2/:name/blobs/:digest" && method === "GET") meter.add("oci_blob_bytes_served_total", {}, sent);
  else if (route.startsWith("/v2/:name/manifests/")) {
    meter.add("oci_manifest_operations_total", { op: method.toLowerCase(), result: resultOf(status, "ok") });
  }
}

function uploadResult({ method, status }: Answered): string {
  if (status === 201) return "finished";
  if (status === 202) return method === "POST" ? "started" : "continued";
  return resultOf(status, method === "DELETE" ? "cancelled" : "looked at");
}

function resultOf(status: number, good: string): string {
  if (status < 400) return status === 202 && good === "mounted" ? "upload instead" : good;
  if (status === 404) return "absent";
  if (status === 401 || status === 403) return "denied";
  return status < 500 ? "refused" : "failed";
}
