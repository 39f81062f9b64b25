/** OwnOrigin: what browsers call us, and whether it was a page of ours that made one ask. */
import { callbackAddress } from "./callback-address.ts";
import type { Visit } from "./visit.ts";

export interface OwnOriginOptions {
  /** `externalUrl`: an origin, perhaps with a path, without a slash at its end. */
  readonly externalUrl: string | undefined;
  /** `auth.secureSession`: browsers come by TLS, whatever it looks like from here. */
  readonly secureSession: boolean;
  /** `auth.openid.callbackAllowOrigins`: where people may be sent to, beside ourselves. */
  readonly callbackAllowOrigins: readonly string[];
}

/** What of a visit tells. */
export type BrowserVisit = Pick<Visit, "origin" | "pageOrigin" | "fetchSite">;

export class OwnOrigin {
  readonly #options: OwnOriginOptions;

  constructor(options: OwnOriginOptions) {
    this.#options = options;
  }

  /** Where browsers find us: what links that leave us begin with. */
  urlFor({ origin }: BrowserVisit): string {
    return this.#options.externalUrl ?? origin;
  }

  /** Where somebody goes who has signed in, as far as he may be sent there. */
  callbackAddress(written: string | null, visit: BrowserVisit): string {
    return callbackAddress(written ?? "", [this.urlFor(visit), ...this.#options.callbackAllowOrigins]);
  }

  /** Whether cookies are for TLS alone. */
  isSecure(visit: BrowserVisit): boolean {
    return this.#options.secureSession || this.urlFor(visit).startsWith("https:");
  }

  /**
   * Whose page made a browser ask: it sends our cookies along, whoever meant that. "none": somebody typed the address, or it is no browser.
   */
  pageBehind(visit: BrowserVisit): "ours" | "foreign" | "none" {
    const { fetchSite, pageOrigin, origin } = visit;
    // The browser's own word, which pages cannot put into its mouth; it says so over TLS, and to localhost.
    if (fetchSite !== undefined) return fetchSite === "same-origin" ? "ours" : fetchSite === "none" ? "none" : "foreign";
    if (pageOrigin === undefined) return "none";
    return [origin, this.urlFor(visit)].some((own) => URL.parse(own)?.origin === pageOrigin) ? "ours" : "foreign";
  }
}
