/** Certificates for tests, made by openssl: an authority of our own, and what it issues. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TlsFiles } from "./recording-server.ts";

const run = promisify(execFile);

export interface IssueOptions {
  /** DNS names and IP addresses it is for; `URI:...` for a URI. */
  readonly names?: readonly string[];
  readonly commonName?: string;
  /** Already over. */
  readonly isExpired?: boolean;
}

/** A certificate with its key, as text and as files. */
export interface IssuedCertificate extends TlsFiles {
  readonly keyFile: string;
  readonly certificateFile: string;
}

export interface TestAuthority {
  readonly certificate: string;
  readonly certificateFile: string;
  /** Issues a certificate that servers and clients may use. Its files lie in the authority's folder. */
  issue(options?: IssueOptions): Promise<IssuedCertificate>;
  /** Takes certificates back: the file of the revocation list that says so. */
  revoke(certificates: readonly IssuedCertificate[]): Promise<string>;
}

/** Makes an authority in `folder`, which must exist. Needs openssl. */
export async function createTestAuthority(folder: string): Promise<TestAuthority> {
  const keyFile = join(folder, "authority.key");
  const certificateFile = join(folder, "authority.pem");
  await run("openssl", ["req", "-x509", ...newKey, "-keyout", keyFile, "-out", certificateFile, "-days", "2", "-subj", "/CN=ociregistry test authority"]);
  let issued = 0;
  return {
    certificate: await readFile(certificateFile, "utf8"),
    certificateFile,
    async issue({ names = ["localhost", "127.0.0.1", "::1"], commonName = "localhost", isExpired = false } = {}) {
      const base = join(folder, `issued-${++issued}`);
      const extensions = `subjectAltName=${names.map((name) => (name.startsWith("URI:") ? name : `${isAddress(name) ? "IP" : "DNS"}:${name}`)).join(",")}\nextendedKeyUsage=serverAuth,clientAuth\n`;
      await writeFile(`${base}.ext`, extensions);
      await run("openssl", ["req", ...newKey, "-keyout", `${base}.key`, "-out", `${base}.csr`, "-subj", `/CN=${commonName}`]);
      const authority = ["-CA", certificateFile, "-CAkey", keyFile, "-set_serial", String(issued + 1)];
      const days = isExpired ? "-1" : "2";
      await run("openssl", ["x509", "-req", "-in", `${base}.csr`, ...authority, "-days", days, "-extfile", `${base}.ext`, "-out", `${base}.pem`]);
      const files = { keyFile: `${base}.key`, certificateFile: `${base}.pem` };
      return { ...files, key: await readFile(files.keyFile, "utf8"), certificate: await readFile(files.certificateFile, "utf8") };
    },
    async revoke(certificates) {
      const [config, index, list] = ["revocation.cnf", "revocation.txt", "revocation.pem"].map((name) => join(folder, name)) as [string, string, string];
      await writeFile(index, "");
      await writeFile(config, `[ca]\ndefault_ca=own\n[own]\ndatabase=${index}\ndefault_md=sha256\ndefault_crl_days=2\n`);
      const command = ["ca", "-config", config, "-cert", certificateFile, "-keyfile", keyFile];
      for (const { certificateFile: revoked } of certificates) await run("openssl", [...command, "-revoke", revoked]);
      await run("openssl", [...command, "-gencrl", "-out", list]);
      return list;
    },
  };
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"];

function isAddress(name: string): boolean {
  return name.includes(":") || /^[0-9.]+$/.test(name);
}
