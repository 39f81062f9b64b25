/** ListedReference: an image that a list asks for, and where. */
import type { Digest } from "../oci/digest.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";

/** An image that a list asks for. */
export interface ListedReference {
  readonly repository: Repository;
  /** What decides: the digest where one is written, else the tag; `latest` where there is neither. */
  readonly reference: Reference;
  readonly tag?: Tag;
  readonly digest?: Digest;
  /** As it was written: for what is told to people. */
  readonly written: string;
  /** Where it was first found; `-` is what came by stdin. */
  readonly file: string;
  readonly line: number;
}

/** What could not be read, in words. Line 0: the file as a whole. */
export interface ListProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}
