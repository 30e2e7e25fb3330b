/** Why an OCI image layout is refused before anything in it is believed: stable, for scripts. */
export const LAYOUT_FAULTS = {
  "archive-invalid": "not a tar archive of the forms that are read, or one that ends early",
  "archive-unsafe": "links, devices, names that lead elsewhere, or a name twice",
  "layout-invalid": "its marker, its index or a manifest is not there or is not of its form",
  "layout-too-large": "beyond the bounds of what is read",
  "blob-missing": "named and not there",
  "blob-corrupt": "there with other bytes than its digest or its size says",
} as const;
export type LayoutFault = keyof typeof LAYOUT_FAULTS;
