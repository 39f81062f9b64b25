/** The server's TLS: certificate, key and client CA from PEM files, as a context that can be made anew while serving. */
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions, type TlsOptions } from "node:tls";

export interface ListeningTls {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
  /** Whose client certificates count; needed unless `clientAuth` is "none". */
  readonly ca?: string;
  /** "request": a certificate may be absent; who shows an invalid one is cut off. "verify": no handshake without a valid one. */
  readonly clientAuth?: "none" | "request" | "verify";
  /** Revocation lists, one for each authority of a client's chain. */
  readonly crl?: string;
}

/** Options for `https.createServer`. Throws an Error that names the file and what is wrong with it. */
export async function readTlsOptions(tls: ListeningTls): Promise<TlsOptions> {
  const { clientAuth = "none" } = tls;
  return {
    ...(await readSecureContext(tls)),
    // HTTP/1.1 only: a destroyed connection is how a broken body is told from a whole one.
    ALPNProtocols: ["http/1.1"],
    requestCert: clientAuth !== "none",
    rejectUnauthorized: clientAuth === "verify",
  };
}

/** What `setSecureContext` takes. Throws an Error that names the file and what is wrong with it. */
export async function readSecureContext({ cert, key, ca, crl, clientAuth = "none" }: ListeningTls): Promise<SecureContextOptions> {
  if (clientAuth !== "none" && ca === undefined) throw new Error(`serverTlsConfig: clientAuth "${clientAuth}" needs a ca`);
  const context: SecureContextOptions = {
    cert: await readPem("cert", cert),
    key: await readPem("key", key),
    ...(ca === undefined ? {} : { ca: await readPem("ca", ca) }),
    ...(crl === undefined ? {} : { crl: await readPem("crl", crl) }),
    minVersion: "TLSv1.2",
  };
  try {
    createSecureContext(context);
  } catch (error) {
    throw new Error(`serverTlsConfig: ${cert} and ${key} are no certificate and its key: ${messageOf(error)}`, { cause: error });
  }
  return context;
}

async function readPem(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`serverTlsConfig: cannot read ${what}: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
