/** Certificate chains within tokens (`x5c`, RFC 7515 4.1.6): good for nothing but to lead to a certificate that the operator trusts. */
import { X509Certificate, type KeyObject } from "node:crypto";

/** Certificates in one chain. */
const chainLengthMax = 6;

/**
 * The key of the chain's first certificate, when the chain ends at one of `roots`, or at what one of them issued, and all of it is
 * valid at `nowMs`. Undefined otherwise; never throws.
 */
export function keyOfChain(encoded: unknown, roots: readonly X509Certificate[], nowMs: number): KeyObject | undefined {
  if (roots.length === 0 || !Array.isArray(encoded) || encoded.length > chainLengthMax) return undefined;
  const chain: X509Certificate[] = [];
  for (const text of encoded) {
    const certificate = readCertificate(text);
    if (!certificate || !isCurrent(certificate, nowMs)) return undefined;
    chain.push(certificate);
  }
  const anchoredAt = chain.findIndex((certificate) => isAnchored(certificate, roots, nowMs));
  if (anchoredAt === -1) return undefined;
  // From the trusted end: a signature is only ever checked with a key that is trusted already.
  const links = chain.slice(0, anchoredAt + 1).toReversed();
  const isWhole = links.every((issuer, index) => {
    const issued = links[index + 1];
    return issued === undefined || isIssuedBy(issued, issuer);
  });
  return isWhole ? chain[0]?.publicKey : undefined;
}

function isAnchored(certificate: X509Certificate, roots: readonly X509Certificate[], nowMs: number): boolean {
  return roots.some((root) => root.raw.equals(certificate.raw) || (isCurrent(root, nowMs) && isIssuedBy(certificate, root)));
}

function readCertificate(encoded: unknown): X509Certificate | undefined {
  if (typeof encoded !== "string") return undefined;
  try {
    return new X509Certificate(Buffer.from(encoded, "base64"));
  } catch {
    return undefined; // No certificate: the chain is broken there.
  }
}

function isCurrent({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean {
  return validFromDate.getTime() <= nowMs && nowMs <= validToDate.getTime();
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
