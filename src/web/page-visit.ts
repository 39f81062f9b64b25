/** PageVisit: somebody who looks at a page, or sends one of its forms; and what comes of it. */
import type { Account } from "../oci/account.ts";
import type { Sees } from "../oci/browsing.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import type { FramedPage, PageUser } from "./frame.ts";
import type { Markup } from "./markup.ts";

export interface PageVisit {
  /** Percent-decoding is still to be done. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** What a form says that was sent here, by a page of ours; undefined: somebody looks. */
  readonly form: URLSearchParams | undefined;
  /** Undefined: somebody without a name. */
  readonly user: PageUser | undefined;
  /** What is the visitor's own; undefined: there is nothing of the kind, or nobody in person looks. */
  readonly account: Account | undefined;
  /** Whether a page of ours has led here for certain, and nobody's link. */
  readonly comesFromOurs: boolean;
  /** `https://registry.example.com`: how the visitor reached us. */
  readonly origin: string;
  /** Undefined: all of them. */
  readonly sees: Sees | undefined;
  /** Why the visitor may not look at it; undefined: he may. */
  readonly refusalOf: (repository: Repository, reference: Reference | undefined) => string | undefined;
  readonly signal: AbortSignal;
}

export type PageOutcome =
  | { readonly kind: "page"; readonly page: FramedPage; readonly status?: number }
  /** Of a page, for the script that renews it. */
  | { readonly kind: "part"; readonly markup: Markup }
  /** The browser goes on to a path of ours. */
  | { readonly kind: "elsewhere"; readonly path: string };

/** What there is at an address that means nothing, or nothing to the visitor. */
export function noSuchPage(): OciError {
  return new OciError("NAME_UNKNOWN", "there is no such page");
}
