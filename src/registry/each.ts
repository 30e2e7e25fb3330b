/** Does something to each item in turn, whatever becomes of the others; throws the first failure when all are done. */
export async function each<T>(items: Iterable<T> | AsyncIterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  for await (const item of items) {
    try {
      await act(item);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}
