/**
 * AddressPolicy: which addresses one endpoint may lead us to. A public address always; any other only when its `host:port` stands in
 * the configuration, or when it lies in the same kind of network as the listed registry that sent us there.
 */
import { canonicalAddress, classifyAddress, type AddressClass } from "./addresses.ts";

/** Every `host:port` that the configuration names, as names, mirrors, redirect targets or token realms. */
export class ListedAddresses {
  readonly #hosts = new Set<string>();

  /** Adds the target of a URL. */
  addUrl(url: URL): void {
    this.#hosts.add(targetOf(url));
  }

  /** Adds `host[:port]`; without a port, those of https and http. */
  addHost(host: string): void {
    for (const scheme of ["https", "http"]) {
      const url = URL.parse(`${scheme}://${host}`);
      if (url) this.addUrl(url);
    }
  }

  has(url: URL): boolean {
    return this.#hosts.has(targetOf(url));
  }
}

export class AddressPolicy {
  readonly #listed: () => ListedAddresses;
  readonly #isListed: boolean;
  readonly #own: URL;
  readonly #sharedClasses = new Set<AddressClass>();

  /** `own` is the endpoint's origin; `isListed` says whether the operator wrote it down. */
  constructor({ listed, own, isListed }: { listed: () => ListedAddresses; own: URL; isListed: boolean }) {
    this.#listed = listed;
    this.#own = own;
    this.#isListed = isListed;
  }

  /** Whether `address`, which `target` resolved to (or literally is), may be dialled. */
  allows(target: URL, address: string): boolean {
    const addressClass = classifyAddress(address);
    if (addressClass === "public") return true;
    if (addressClass === "forbidden") return this.#listed().has(target) && canonicalAddress(target.hostname) === canonicalAddress(address);
    if (this.#listed().has(target)) return true;
    return this.#sharedClasses.has(addressClass);
  }

  /** Notes an address that was really dialled: a listed registry may redirect within its own kind of network. */
  dialled(target: URL, address: string): void {
    if (!this.#isListed || target.origin !== this.#own.origin) return;
    const addressClass = classifyAddress(address);
    if (addressClass === "loopback" || addressClass === "private") this.#sharedClasses.add(addressClass);
  }

  /** True for the endpoint itself, false for what its redirects and realms lead to. */
  isOwn(target: URL): boolean {
    return target.origin === this.#own.origin;
  }

  /** True for any port of the endpoint's host. */
  isOwnHost(target: URL): boolean {
    return target.hostname === this.#own.hostname;
  }
}

/** `host:port`, the port always written, IP addresses in their one spelling. */
function targetOf(url: URL): string {
  const port = url.port === "" ? (url.protocol === "http:" ? "80" : "443") : url.port;
  const name = url.hostname.endsWith(".") ? url.hostname.slice(0, -1) : url.hostname;
  return `${canonicalAddress(name) ?? name}|${port}`;
}
