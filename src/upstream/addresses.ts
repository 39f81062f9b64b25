/**
 * Addresses: what kind of network an IP address belongs to, so that a name given by a client or an upstream never leads us into
 * one it has no business in. IANA special-purpose registries (RFC 6890 and successors).
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/**
 * "public": anybody's. "loopback" and "private" (RFC 1918, ULA, CGNAT): ours. "special": unspecified, documentation, benchmarking
 * and the rest that no registry lives at. "forbidden": link-local, cloud metadata, multicast, broadcast.
 */
export type AddressClass = "public" | "loopback" | "private" | "special" | "forbidden";

/** Where clouds answer their guests: not all of these are link-local. AWS, GCP, Azure; Azure's wire server; Alibaba; Oracle; AWS by IPv6. */
const metadataAddresses: ReadonlySet<string> = new Set(["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]);

/** The class of an address as `net.isIP` takes it. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as that IPv4. */
export function classifyAddress(address: string): AddressClass {
  const unscoped = address.split("%", 1)[0] ?? "";
  if (isIP(unscoped) === 0) return "forbidden";
  const parsed = ipaddr.parse(unscoped);
  return parsed instanceof ipaddr.IPv6 ? classifyIpv6(parsed) : classifyIpv4(parsed);
}

/** An IP address in its one spelling: `::ffff:127.0.0.1` is `127.0.0.1`, and a zone is left out. Undefined for what is no IP address. */
export function canonicalAddress(host: string): string | undefined {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  const [unscoped = ""] = bare.split("%", 1);
  return isIP(unscoped) === 0 ? undefined : ipaddr.process(unscoped).toString();
}

function classifyIpv4(address: ipaddr.IPv4): AddressClass {
  if (metadataAddresses.has(address.toString())) return "forbidden";
  switch (address.range()) {
    case "unicast":
      return "public";
    case "loopback":
      return "loopback";
    case "private":
    case "carrierGradeNat":
      return "private";
    case "linkLocal":
    case "multicast":
    case "broadcast":
      return "forbidden";
    default:
      return "special";
  }
}

function classifyIpv6(address: ipaddr.IPv6): AddressClass {
  if (metadataAddresses.has(address.toString())) return "forbidden";
  const embedded = embeddedIpv4(address);
  if (embedded) return classifyIpv4(embedded);
  switch (address.range()) {
    case "unicast":
      return isGlobalUnicast(address) ? "public" : "special";
    case "loopback":
      return "loopback";
    case "uniqueLocal":
      return "private";
    case "linkLocal":
    case "multicast":
      return "forbidden";
    default:
      return "special";
  }
}

/** The IPv4 address that traffic to an IPv6 one ends at: mapped (RFC 4291), translated (RFC 6145), NAT64 (RFC 6052), 6to4 (RFC 3056). */
function embeddedIpv4(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const bytes = address.toByteArray();
  switch (address.range()) {
    case "ipv4Mapped":
    case "rfc6145":
      return new ipaddr.IPv4(bytes.slice(12));
    case "rfc6052":
      return isWellKnownNat64(bytes) ? new ipaddr.IPv4(bytes.slice(12)) : undefined;
    case "6to4":
      return new ipaddr.IPv4(bytes.slice(2, 6));
    default:
      return isIpv4Compatible(bytes) ? new ipaddr.IPv4(bytes.slice(12)) : undefined;
  }
}

/** 64:ff9b::/96. In the local prefix 64:ff9b:1::/48 each network chooses where the IPv4 address lies, so nobody else can tell. */
function isWellKnownNat64(bytes: readonly number[]): boolean {
  return bytes.slice(4, 12).every((byte) => byte === 0);
}

/** 2000::/3, all that has been handed out so far. */
function isGlobalUnicast(address: ipaddr.IPv6): boolean {
  return ((address.parts[0] ?? 0) & 0xe000) === 0x2000;
}

/** `::a.b.c.d`, deprecated by RFC 4291 but still routed by some; `::` and `::1` are not of this kind. */
function isIpv4Compatible(bytes: readonly number[]): boolean {
  return bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte !== 0);
}
