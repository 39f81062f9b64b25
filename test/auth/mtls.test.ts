/** Whom a certificate names, in zot's words for where the name stands; certificates made by openssl, read as Node reads them. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MtlsAuthenticator, type MtlsOptions } from "../../src/auth/mtls.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

async function certificate(subject: string, names: readonly string[] = []): Promise<PeerCertificate> {
  const [key, pem, config] = ["key", "pem", "cnf"].map((ending) => join(folder.path, `c.${ending}`)) as [string, string, string];
  await writeFile(config, `[req]\ndistinguished_name=dn\n[dn]\n[san]\n${names.length > 0 ? `subjectAltName=@names\n[names]\n${names.join("\n")}\n` : ""}`);
  const algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const extensions = names.length > 0 ? ["-extensions", "san"] : [];
  await run("openssl", [
    "req",
    "-x509",
    "-batch",
    ...algorithm,
    "-keyout",
    key,
    "-out",
    pem,
    "-days",
    "2",
    "-subj",
    subject,
    "-config",
    config,
    ...extensions,
    "-utf8",
  ]);
  return new X509Certificate(await readFile(pem)).toLegacyObject() as PeerCertificate;
}

async function nameIn(shown: PeerCertificate | undefined, options: Partial<MtlsOptions> = {}): Promise<string> {
  const methods = new MtlsAuthenticator({
    identityAttributes: ["CommonName"],
    uriSanPattern: undefined,
    uriSanIndex: 0,
    dnsSanIndex: 0,
    emailSanIndex: 0,
    ...options,
  });
  const verdict = await methods.authenticate({ authorization: [], client: "", userAgent: undefined, certificate: shown });
  return verdict.kind === "admitted" ? verdict.principal.name : verdict.kind;
}

const all = ["URI.1=spiffe://example.org/workload/alice", "URI.2=urn:second", "DNS.1=a.example.org", "DNS.2=b.example.org", "email.1=alice@example.org"];

describe("a certificate's name", () => {
  test.each<[string, Partial<MtlsOptions>, string]>([
    ["the common name", {}, "alice"],
    ["the subject", { identityAttributes: ["Subject"] }, "CN=alice,OU=dev,O=Example"],
    ["an e-mail address", { identityAttributes: ["Email"] }, "alice@example.org"],
    ["a URI", { identityAttributes: ["URI"] }, "spiffe://example.org/workload/alice"],
    ["the second URI", { identityAttributes: ["URI"], uriSanIndex: 1 }, "urn:second"],
    ["the second DNS name", { identityAttributes: ["DNSName"], dnsSanIndex: 1 }, "b.example.org"],
    ["a third DNS name, which is not there", { identityAttributes: ["DNSName"], dnsSanIndex: 2 }, "refused"],
    ["the first attribute that is there", { identityAttributes: ["DNSName", "CommonName"], dnsSanIndex: 2 }, "alice"],
    ["a part of a URI", { identityAttributes: ["URI"], uriSanPattern: "spiffe://example.org/workload/(.*)" }, "alice"],
    ["a pattern without a group", { identityAttributes: ["URI"], uriSanPattern: "spiffe://.*" }, "spiffe://example.org/workload/alice"],
    ["a pattern for the middle of a URI", { identityAttributes: ["URI"], uriSanPattern: "example.org/workload/(.*)" }, "refused"],
    ["a pattern for the beginning of a URI", { identityAttributes: ["URI"], uriSanPattern: "spiffe://example.org|x" }, "refused"],
  ])("can be %s", async (_, options, expected) => {
    expect(await nameIn(await certificate("/O=Example/OU=dev/CN=alice", all), options)).toBe(expected);
  });

  test("is no part of another name, whatever is written in it", async () => {
    const shown = await certificate("/CN=x", ["DNS.1=a, URI:spiffe://example.org/root", 'DNS.2=b", URI:"urn:c']);
    expect(await nameIn(shown, { identityAttributes: ["URI"] })).toBe("refused");
    expect(await nameIn(shown, { identityAttributes: ["DNSName"] })).toBe("a, URI:spiffe://example.org/root");
  });

  test("of several common names is none", async () => {
    expect(await nameIn(await certificate("/CN=alice/CN=root"))).toBe("refused");
  });

  test("of blanks or nothing is none, and no certificate is another method's affair", async () => {
    expect(await nameIn(await certificate("/O=Example"))).toBe("refused");
    expect(await nameIn(await certificate("/CN= "))).toBe("refused");
    expect(await nameIn(undefined)).toBe("none");
  });

  test("keeps the subject's own commas apart from those between its parts", async () => {
    expect(await nameIn(await certificate("/O=Example, Inc/CN=alice"), { identityAttributes: ["Subject"] })).toBe("CN=alice,O=Example\\, Inc");
  });
});
