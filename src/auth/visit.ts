/** Visit and Wanted: a request as a gate sees it: who comes, and what for. */
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import type { Action } from "./access-policy.ts";
import type { Evidence } from "./authenticator.ts";

/** What is asked for. */
export type Wanted =
  /**
   * To be here at all. "ping" is `/v2/`, where clients learn how to log in; "admin" is to administrate; "page" is what browsers show;
   * "account" is what belongs to somebody, and to nobody without a name.
   */
  | { readonly kind: "ping" | "presence" | "catalog" | "metrics" | "admin" | "page" | "account" }
  | {
      readonly kind: "repository";
      readonly action: Extract<Action, "read" | "create" | "delete">;
      readonly repository: Repository;
      readonly reference?: Reference | undefined;
      /** The name as the client wrote it in the path. */
      readonly writtenName: string;
    };

export type WantedRepository = Extract<Wanted, { kind: "repository" }>;

/** A request, as far as gates look at it. What is not looked at need not be computed. */
export interface Visit extends Evidence {
  readonly method: string;
  readonly signal: AbortSignal;
  readonly forwardedFor: readonly string[];
  /** `1.3`; undefined without TLS. */
  readonly tlsVersion: string | undefined;
  /** `https://registry.example.com`: how the client reached us. */
  readonly origin: string;
  /** Cookies, as they came. */
  readonly cookie: string | undefined;
  /** `X-ZOT-API-CLIENT`: by which a page says that it means its cookie to count. No page of another origin can send it unasked. */
  readonly apiClient: string | undefined;
  /** `Origin`: whose page made a browser ask. */
  readonly pageOrigin: string | undefined;
  /** `Sec-Fetch-Site`: how that page stands to us. */
  readonly fetchSite: string | undefined;
}
