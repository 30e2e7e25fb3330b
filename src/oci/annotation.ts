/** Annotations as manifests and descriptors have them: texts by name, of whoever pushed them. */
type Annotations = Readonly<Record<string, string>>;

/** Where a file's name stands in a layer: as OCI clients write it (image-spec §Pre-Defined Annotation Keys), and as ModelPack does. */
export const FILE_TITLES = ["org.opencontainers.image.title", "org.cncf.model.filepath"] as const;

/** What an annotation says; undefined where there is none of that name, whatever objects have by themselves. */
export function annotationOf(annotations: Annotations | null | undefined, name: string): string | undefined {
  return annotations && Object.hasOwn(annotations, name) ? annotations[name] : undefined;
}
