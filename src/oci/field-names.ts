/**
 * Has the object a key that is a given field's name in another case? Go's JSON reader, which most clients use, folds case and takes the
 * last of such keys, so that it would see other content than this registry checked.
 */
export function hasLookAlikeField(value: object, fields: ReadonlySet<string>): boolean {
  return Object.keys(value).some((key) => !fields.has(key) && fields.has(folded(key, fields)));
}

/** The field that a key becomes under case folding; up and down again also folds the long s and the Kelvin sign, as Go does. */
function folded(key: string, fields: ReadonlySet<string>): string {
  const plain = key.toUpperCase().toLowerCase();
  for (const field of fields) if (field.toLowerCase() === plain) return field;
  return key;
}
