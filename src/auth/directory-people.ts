/** DirectoryPeople: people whom a directory knows, looked up without their password: by what somebody else calls them. */

export interface DirectoryPeople {
  /** Whose e-mail address it is, whatever its case. Never rejects. */
  findByMail(mail: string): Promise<DirectoryPerson>;
  /** Who is called so. Never rejects. */
  findByName(name: string): Promise<DirectoryPerson>;
}

export type DirectoryPerson =
  /** The name as the directory spells it. */
  | { readonly kind: "one"; readonly name: string; readonly groups: readonly string[] }
  | { readonly kind: "none" }
  /** Nobody can tell which of them. */
  | { readonly kind: "several" }
  | { readonly kind: "unavailable"; readonly reason: string };
