/** What a Range header asks of content of a known size: all of it, bytes `start` to `end` (both included), or what it does not have. */
export type RequestedRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const WHOLE: RequestedRange = { kind: "whole" };
const UNSATISFIABLE: RequestedRange = { kind: "unsatisfiable" };

/**
 * Reads a Range header (RFC 9110 §14.2). Units other than `bytes` are ignored, as they must be. Several ranges are answered with the
 * whole content, as a server may: no client of registries asks for them, and many small ones are an old way to wear a server out.
 * A malformed range is refused and not ignored (both are allowed): who wants a part is not helped by 50 GB.
 */
export function parseRange(header: string | undefined, size: number): RequestedRange {
  const set = header === undefined ? undefined : /^bytes=(.*)$/i.exec(header.trim())?.[1];
  return set === undefined || set.includes(",") ? WHOLE : single(set, size);
}

function single(range: string, size: number): RequestedRange {
  const [, first, last] = /^\s*(\d*)-(\d*)\s*$/.exec(range) ?? [];
  if (first === undefined || last === undefined) return UNSATISFIABLE;
  return first === "" ? suffix(last, size) : from(Number(first), last === "" ? Infinity : Number(last), size);
}

/** The last bytes; all of them when there are fewer. */
function suffix(length: string, size: number): RequestedRange {
  // `-` and `-0` ask for nothing.
  if (Number(length) === 0) return UNSATISFIABLE;
  // Content-Range cannot say "no bytes", so that empty content is whole.
  return size === 0 ? WHOLE : { kind: "part", start: Math.max(0, size - Number(length)), end: size - 1 };
}

function from(start: number, last: number, size: number): RequestedRange {
  if (start >= size || last < start) return UNSATISFIABLE;
  return { kind: "part", start, end: Math.min(last, size - 1) };
}
