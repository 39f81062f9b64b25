/** Proxies: which of them stands between us and a URL, by the words of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
import ipaddr from "ipaddr.js";
import { canonicalAddress } from "./addresses.ts";
import type { ProxyOptions } from "./upstream-options.ts";

export class Proxies {
  readonly #https: URL | undefined;
  readonly #http: URL | undefined;
  readonly #exceptions: readonly string[];

  /** Throws `TypeError` for a proxy that is no http or https URL, or whose user cannot be decoded. */
  constructor({ httpsProxy, httpProxy, noProxy }: ProxyOptions = {}) {
    this.#https = parseProxy(httpsProxy);
    this.#http = parseProxy(httpProxy);
    this.#exceptions = (noProxy ?? "").split(/[\s,]+/).filter((word) => word !== "");
  }

  /** The proxy for `url`, or undefined when it is to be asked directly. */
  find(url: URL): URL | undefined {
    const proxy = url.protocol === "https:" ? this.#https : this.#http;
    if (!proxy || this.#exceptions.some((exception) => covers(exception, url))) return undefined;
    return proxy;
  }
}

/** `Proxy-Authorization` for a proxy with a user in its URL. */
export function proxyAuthorization(proxy: URL): string | undefined {
  if (proxy.username === "") return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function parseProxy(value: string | undefined): URL | undefined {
  if (value === undefined || value.trim() === "") return undefined;
  const url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`a proxy is reached by http or https, not ${url.protocol}`);
  try {
    proxyAuthorization(url);
    return url;
  } catch (error) {
    throw new TypeError(`the user or password of the proxy ${url.host} is not percent-encoded UTF-8`, { cause: error });
  }
}

/** One word of `NO_PROXY`: `*`, an address, a CIDR, a domain (it and all below it; `.domain`: below it), each with an optional port. */
function covers(exception: string, url: URL): boolean {
  if (exception === "*") return true;
  const host = url.hostname.replace(/\.$/, "");
  const address = canonicalAddress(host);
  if (exception.includes("/")) return address !== undefined && inCidr(address, exception);
  const wanted = canonicalAddress(exception);
  if (wanted !== undefined) return wanted === address;
  const [, name = "", port] = /^(.*?)(?::([0-9]+))?$/.exec(exception.toLowerCase()) ?? [];
  if (port !== undefined && port !== (url.port || (url.protocol === "https:" ? "443" : "80"))) return false;
  const domain = name.replace(/^\*?\./, "");
  if (address !== undefined) return canonicalAddress(domain) === address;
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith("."));
}

function inCidr(address: string, cidr: string): boolean {
  if (!ipaddr.isValidCIDR(cidr)) return false;
  const network = ipaddr.parseCIDR(cidr);
  const parsed = ipaddr.parse(address);
  return parsed.kind() === network[0].kind() && parsed.match(network);
}
