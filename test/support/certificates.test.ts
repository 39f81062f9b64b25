/** Certificates are what TLS tests stand on: good ones are trusted, expired and strange ones are not. */
import { get } from "node:https";
import { expect, test } from "vitest";
import { createTestAuthority } from "./certificates.ts";
import { startFakeUpstream } from "./fake-upstream.ts";
import { requirePrograms } from "./programs.ts";
import { temporaryFolder } from "./temporary-folder.ts";

function status(url: string, ca: string): Promise<number | string> {
  return new Promise((resolve) => {
    get(`${url}/v2/`, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", (error) => resolve("code" in error ? String(error.code) : error.message));
  });
}

test.runIf(requirePrograms("openssl"))("a fake upstream speaks TLS with good, expired and foreign certificates", async () => {
  await using folder = await temporaryFolder();
  const authority = await createTestAuthority(folder.path);
  const upstreamOf = async (options: { names?: string[]; isExpired?: boolean }) => startFakeUpstream({ tls: await authority.issue(options) });
  await using good = await upstreamOf({});
  await using expired = await upstreamOf({ isExpired: true });
  await using foreign = await upstreamOf({ names: ["example.test"] });
  expect(await status(good.url, authority.certificate)).toBe(200);
  expect(await status(expired.url, authority.certificate)).toBe("CERT_HAS_EXPIRED");
  expect(await status(foreign.url, authority.certificate)).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
});
