/** What a call throws; undefined when it does not. For tests whose inputs may be fine or not. */
export function errorOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}
