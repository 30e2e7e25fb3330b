import type { WhoamiAnswer } from "../api/whoami.ts";
import { EXIT, type Exit } from "./failure.ts";
import { sizeText } from "./output.ts";

/** One thing that doctor looked at, and how it is. */
export interface Check {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly message: string;
  /** What a failure exits with. */
  readonly exit: Exit;
}

/** A check whose failure exits with `exit`. */
export function check(name: string, status: Check["status"], message: string, exit: Exit = EXIT.failure): Check {
  return { name, status, message, exit };
}

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;
/** What a Date header (whole seconds) and a slow answer may be off without a clock being wrong (ms). */
const CLOCK_TOLERANCE = 5 * SECOND;
/** Tokens live for minutes. */
const CLOCK_LIMIT = 60 * SECOND;

/** How far the registry's clock is from this one, by the Date header (RFC 9110 §6.6.1) of an answer that was asked and got at these times (epoch ms). */
export function clockCheck(date: string | undefined, asked: number, got: number): Check {
  const theirs = Date.parse(date ?? "");
  if (Number.isNaN(theirs)) return check("clock", "warn", "the registry's answer has no date to compare this machine's clock with");
  const ahead = theirs < asked ? Math.min(theirs + SECOND - asked, 0) : Math.max(theirs - got, 0);
  const off = Math.abs(ahead);
  if (off <= CLOCK_TOLERANCE) return check("clock", "ok", "the registry's clock and this machine's agree");
  const message = `the registry's clock is ${Math.round(off / SECOND)} s ${ahead > 0 ? "ahead of" : "behind"} this machine's`;
  return check("clock", off <= CLOCK_LIMIT ? "warn" : "fail", message);
}

/** Days before its end from which on a certificate is warned about: renewals by machines are done by then. */
const RENEWED_BEFORE = 14;

/** For how long a certificate is still good; `validTo` as `tls` gives it. */
export function certificateCheck(validTo: string, now: number): Check {
  const left = Date.parse(validTo) - now;
  if (Number.isNaN(left)) return check("certificate", "warn", "the end of the registry's certificate cannot be read");
  if (left <= 0) return check("certificate", "fail", `the registry's certificate has expired (${validTo})`);
  const days = Math.floor(left / DAY);
  return check(
    "certificate",
    days < RENEWED_BEFORE ? "warn" : "ok",
    `the registry's certificate is good for ${days} more days (${validTo})`,
  );
}

/** The part of a disk that the registry leaves free, at most (bytes), and as a share; below it pushes are refused. */
const RESERVE = 1024 ** 3;
const RESERVE_SHARE = 20;
/** Room beside it that is little for models (bytes), unless it is a fair share of the disk. */
const LITTLE = 10 * 1024 ** 3;
const LITTLE_SHARE = 10;

/** Is there room for more on the disk of the data directory? */
export function diskCheck(directory: string, { free, total }: { readonly free: number; readonly total: number }): Check {
  const room = free - Math.min(RESERVE, total / RESERVE_SHARE);
  const left = `${sizeText(free)} of ${sizeText(total)} are free on the disk of ${directory}`;
  if (room <= 0) return check("disk", "fail", `${left}: the registry refuses pushes until there is more`);
  return check("disk", room < LITTLE && room < total / LITTLE_SHARE ? "warn" : "ok", left);
}

/** What the registry says of the bytes that it keeps. */
export interface Content {
  readonly damaged: number;
  readonly last: { readonly status: string; readonly checked_at: string; readonly detail?: string | null | undefined } | null;
}

/** Are the bytes known to be right? */
export function contentCheck({ damaged, last }: Content): Check {
  const when =
    last === null ? "no check of all bytes has ended yet: see verify-all" : `last check of all bytes: ${last.status}, ${last.checked_at}`;
  if (damaged > 0) return check("content", "fail", `${damaged} damaged blobs are out of service (${when})`, EXIT.integrity);
  if (last?.status === "error") return check("content", "warn", `${when} (${last.detail ?? "not all could be checked"})`);
  return check("content", "ok", `no damage is known; ${when}`);
}

/** Who a credential is of, and what that may do. */
export function identityText({ name, kind, roles }: WhoamiAnswer): string {
  if (kind === "service-token") return "the service token, for registered names; it reads, verifies and revokes what was pushed";
  const held = roles.map(({ role, namespace }) => `${role} ${namespace === "*" ? "everywhere" : `in ${namespace}`}`);
  return `${name}: ${held.length === 0 ? "no role" : held.join(", ")}`;
}
