import { describe, expect, test } from "vitest";
import { registriesWithCredentials, resolveUnlisted } from "../../src/config/unlisted-registries.ts";
import { loadText } from "./load-text.ts";

const resolve = async (text: string, environment: Record<string, string> = {}) => {
  const { config } = await loadText(text);
  return resolveUnlisted(config, environment);
};

describe("registries that are not listed", () => {
  test("are allowed while nothing here is private", async () => {
    expect(await resolve("registries: [{ name: quay.io }]")).toEqual({ policy: "public", because: "no registry has credentials" });
  });

  test.each([
    ["a password", "registries: [{ name: quay.io, auth: { user: u, password: p } }]"],
    ["a token", "registries: [{ name: quay.io, auth: { token: { provider: ecr } } }]"],
    ["a credential for some repositories", "registries: [{ name: quay.io, credentials: [{ match: a/**, auth: { user: u, password: p } }] }]"],
    ["a client certificate", "registries: [{ name: quay.io, tls: { cert: c, key: k } }]"],
    ["a mirror's password", "registries: [{ name: quay.io, endpoints: [{ url: 'https://m', auth: { user: u, password: p } }] }]"],
    ["a mirror's certificate", "registries: [{ name: quay.io, endpoints: [{ url: 'https://m', tls: { cert: c, key: k } }] }]"],
  ])("are denied as soon as there is %s", async (_, text) => {
    expect(await resolve(text)).toEqual({ policy: "deny", because: "there are credentials for quay.io" });
  });

  test("are allowed in air-gapped mode, where nobody is asked, whoever the clients are", async () => {
    expect(await resolve("airGapped: true\nauth: { htpasswd: { path: users } }", { https_proxy: "http://p:3128" })).toMatchObject({ policy: "public" });
    expect(await resolve("airGapped: true\nunlistedRegistries: deny")).toMatchObject({ policy: "deny" });
  });

  test.each(["auth: {}", "auth: { failDelay: 1 }", "http: { auth: { apikey: false } }"])("are denied where somebody wrote about clients: %s", async (text) => {
    const { config, notices } = await loadText(text);
    expect(config).toMatchObject({ auth: undefined, authIsEmpty: true });
    expect(resolveUnlisted(config, {})).toEqual({ policy: "deny", because: "there is an auth, though it names no way to log in" });
    expect(resolveUnlisted({ ...config, unlistedRegistries: "public" }, {})).toMatchObject({ policy: "public" });
    expect(notices).toEqual([expect.stringMatching(/config\.yaml:1: auth names no way to log in: nobody is asked who he is/)]);
  });

  test("are denied behind a proxy", async () => {
    expect(await resolve("", { https_proxy: "http://p:3128" })).toMatchObject({ policy: "deny", because: expect.stringContaining("https_proxy") });
    expect(await resolve("", { HTTPS_PROXY: "" })).toMatchObject({ policy: "public" });
  });

  test("are what the configuration says, whatever else holds", async () => {
    expect(
      await resolve("unlistedRegistries: public\nregistries: [{ name: quay.io, auth: { user: u, password: p } }]", { HTTP_PROXY: "http://p" }),
    ).toMatchObject({ policy: "public" });
    expect(await resolve("unlistedRegistries: deny")).toMatchObject({ policy: "deny" });
  });

  test("a registry whose keys are written out and empty has no credentials", async () => {
    const { config } = await loadText(
      "registries:\n  - name: quay.io\n    auth: { user: '', password: '', passwordFromEnv: '' }\n    tls: { cert: '', key: '', ca: '' }\n",
    );
    expect(registriesWithCredentials(config)).toEqual([]);
  });
});
