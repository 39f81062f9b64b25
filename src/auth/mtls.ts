/**
 * mTLS: clients known by their certificate, in zot's words for where a name stands. The certificate comes from our own TLS connection,
 * its chain already good: no header can stand in for it.
 */
import { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { isUserName } from "./access-tokens.ts";
import type { Authenticator, Evidence, Verdict } from "./authenticator.ts";
import type { Principal } from "./principal.ts";

export interface MtlsOptions {
  /** The first that a certificate has is the name. */
  readonly identityAttributes: readonly ("CommonName" | "Subject" | "Email" | "URI" | "DNSName")[];
  /** A regular expression that must match a whole URI; its first group, if it has one, is the name. */
  readonly uriSanPattern: string | undefined;
  /** Which of several, from 0. */
  readonly uriSanIndex: number;
  readonly dnsSanIndex: number;
  readonly emailSanIndex: number;
}

export class MtlsAuthenticator implements Authenticator {
  readonly method = "mtls";
  readonly #options: MtlsOptions;
  readonly #uriPattern: RegExp | undefined;
  /** By the certificate's object: a connection has one for all of its requests. */
  readonly #principals = new WeakMap<PeerCertificate, Principal>();

  /** Throws a SyntaxError for a `uriSanPattern` that is none. */
  constructor(options: MtlsOptions) {
    this.#options = options;
    // Whole or not at all: a pattern that may match in the middle takes spiffe://evil/spiffe://example.org/alice for alice.
    this.#uriPattern = options.uriSanPattern === undefined ? undefined : new RegExp(`^(?:${options.uriSanPattern})$`);
  }

  recall({ certificate }: Evidence): Principal | undefined {
    return certificate && this.#principals.get(certificate);
  }

  async authenticate({ certificate }: Evidence): Promise<Verdict> {
    if (!certificate) return { kind: "none" };
    const known = this.#principals.get(certificate);
    if (known) return { kind: "admitted", principal: known };
    const name = this.#nameIn(certificate);
    if (!isUserName(name)) return { kind: "refused", reason: "a client certificate without a usable name" };
    const principal: Principal = { name, groups: [], method: "mtls" };
    this.#principals.set(certificate, principal);
    return { kind: "admitted", principal };
  }

  #nameIn(certificate: PeerCertificate): string | undefined {
    const names = alternativeNames(certificate.subjectaltname ?? "");
    for (const attribute of this.#options.identityAttributes) {
      const name = this.#attribute(attribute, certificate, names);
      if (name !== undefined && name !== "") return name;
    }
    return undefined;
  }

  #attribute(attribute: MtlsOptions["identityAttributes"][number], certificate: PeerCertificate, names: readonly AlternativeName[]): string | undefined {
    const { uriSanIndex, dnsSanIndex, emailSanIndex } = this.#options;
    switch (attribute) {
      case "CommonName":
        return commonName(certificate);
      case "Subject":
        return subjectName(certificate);
      case "Email":
        return valuesOf("email", names)[emailSanIndex];
      case "DNSName":
        return valuesOf("DNS", names)[dnsSanIndex];
      case "URI":
        return this.#uriName(valuesOf("URI", names)[uriSanIndex]);
      default:
        return attribute satisfies never;
    }
  }

  #uriName(uri: string | undefined): string | undefined {
    if (uri === undefined || !this.#uriPattern) return uri;
    const match = this.#uriPattern.exec(uri);
    if (!match) return undefined;
    return match.length > 1 ? match[1] : uri;
  }
}

/** Of several, nobody could say which is meant. */
function commonName({ subject }: PeerCertificate): string | undefined {
  const name: unknown = subject.CN;
  return typeof name === "string" ? name : undefined;
}

/** As RFC 4514 writes it, the last part first: `CN=alice,OU=dev,O=Example`. */
function subjectName({ raw }: PeerCertificate): string {
  const lines = new X509Certificate(raw).subject.split("\n");
  return lines
    .toReversed()
    .map((line) => line.replaceAll(" + ", "+"))
    .join(",");
}

interface AlternativeName {
  readonly type: string;
  readonly value: string;
}

/** Reads Node's `URI:spiffe://a/b, DNS:"a, b", email:x@y`: values that could be misread come quoted as JSON. */
function alternativeNames(written: string): readonly AlternativeName[] {
  return [...written.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/g)].flatMap(([, type = "", value = ""]) => {
    const text = value.startsWith('"') ? textOf(value) : value;
    return text === undefined ? [] : [{ type, value: text }];
  });
}

function textOf(quoted: string): string | undefined {
  try {
    const value: unknown = JSON.parse(quoted);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined; // It names nobody then.
  }
}

function valuesOf(type: "email" | "DNS" | "URI", names: readonly AlternativeName[]): readonly string[] {
  return names.filter((name) => name.type === type).map(({ value }) => value);
}
