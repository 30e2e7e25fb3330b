/**
 * Gives the memory of bytes that nobody needs any more back at once, instead of when the collector of garbage comes: it waits until there
 * are tens of megabytes of such. Only bytes that fill a buffer of their own have memory of their own.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0);
}
