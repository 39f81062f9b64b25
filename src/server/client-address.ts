/** Who a request comes from, when proxies stand between: only those that are trusted are believed. */
import { BlockList, isIP, SocketAddress } from "node:net";

/** Proxies by address or CIDR. */
export class TrustedProxies {
  readonly #addresses = new BlockList();
  readonly #any: boolean;

  /** Throws an Error that names the entry which is neither an address nor a CIDR. */
  constructor(entries: readonly string[]) {
    this.#any = entries.length > 0;
    for (const entry of entries) {
      const [address = "", bits, ...rest] = entry.split("/");
      const family = isIP(address);
      const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
      if (family === 0 || rest.length > 0 || bits === "" || !Number.isInteger(prefix) || prefix < 0 || prefix > (family === 4 ? 32 : 128)) {
        throw new Error(`trustedProxies: "${entry}" is neither an address nor a CIDR`);
      }
      this.#addresses.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
    }
  }

  trusts(address: string): boolean {
    return this.#any && this.#addresses.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
  }
}

/**
 * The client's address without port: `peer`, or, while that is a trusted proxy, what it says in `X-Forwarded-For`, read from the
 * right until the first address that nobody vouches for.
 */
export function clientAddress(peer: string | undefined, forwardedFor: string | undefined, proxies: TrustedProxies): string {
  let address = plainAddress(peer ?? "");
  if (forwardedFor === undefined) return address;
  const hops = forwardedFor.split(",");
  while (hops.length > 0 && proxies.trusts(address)) {
    const hop = findHop(hops.pop() ?? "");
    if (hop === undefined) return address;
    address = hop;
  }
  return address;
}

/** An address as people write it: an IPv4 address that came over IPv6 is IPv4 again. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** The one spelling of an address that somebody wrote, without its zone; undefined for what is none. */
export function findAddress(written: string): string | undefined {
  const family = isIP(written);
  if (family === 0) return undefined;
  return family === 4 ? written : plainAddress(new SocketAddress({ address: written, family: "ipv6" }).address);
}

function findHop(written: string): string | undefined {
  const bare = written.trim();
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::[0-9]+)?$/.exec(bare)?.[1];
  return findAddress(bracketed ?? /^([0-9.]+):[0-9]+$/.exec(bare)?.[1] ?? bare);
}
