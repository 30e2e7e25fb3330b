/** A whole number of at most so many digits, as an address or a form says it; undefined for anything else. */
export function wholeNumber(text: string | undefined, digits: number): number | undefined {
  return text !== undefined && text.length <= digits && /^\d+$/.test(text) ? Number(text) : undefined;
}
