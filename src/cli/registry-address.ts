/** Registry address: a registry as people name it on the command line, for what is said to it over HTTP, and for the files in which clients look. */
import { isIP } from "node:net";
import { misuse } from "./misuse.ts";

export interface RegistryAddress {
  /** `https://registry.example.com` */
  readonly origin: string;
  /** As docker and podman have it in their files: `registry.example.com`, `127.0.0.1:5000`. */
  readonly host: string;
}

/**
 * Reads `https://HOST[:PORT]`, or `HOST[:PORT]`, which means https. In the clear only this machine is spoken to, unless `plainHttp`: a key would go
 * that way. Throws a misuse.
 */
export function parseRegistryAddress(written: string | undefined, { plainHttp }: { readonly plainHttp: boolean }): RegistryAddress {
  if (written === undefined || written === "") throw misuse("say which registry: https://registry.example.com");
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `https://${written}`);
  const isBare = url && url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
  if (!isBare || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw misuse(`${JSON.stringify(written)} is no registry's address: https://registry.example.com, and nothing behind that`);
  }
  if (url.protocol === "http:" && !plainHttp && !isLoopback(url.hostname)) {
    throw misuse(`${url.host} would be sent a key in the clear: say https, or --plain-http if everybody on the way may have it`);
  }
  return { origin: url.origin, host: url.host };
}

/** Whether a URL's host is this machine by its very name: what is said to it goes through nobody's hands. */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}
