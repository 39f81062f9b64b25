import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/config/environment.ts";
import { Vocabulary } from "../../src/config/vocabulary.ts";

const keys = new Vocabulary().scalarKeys();
const read = (environment: Record<string, string>) => {
  const { values, unknown } = readEnvironment(environment, keys);
  return { values: Object.fromEntries(values), unknown };
};

describe("OCIREGISTRY_ variables", () => {
  test("are the top-level keys in capitals", () => {
    expect(
      read({ OCIREGISTRY_TAG_TTL: "5m", OCIREGISTRY_HELLO_WORLD: "true", OCIREGISTRY_PORT: "5000", OCIREGISTRY_DEFAULT_NS: "quay.io", PATH: "/bin" }),
    ).toEqual({
      values: { tagTtl: "5m", helloWorld: "true", port: "5000", defaultNs: "quay.io" },
      unknown: [],
    });
  });

  test("cover no key that needs a map or a list", () => {
    expect(keys).not.toContain("registries");
    expect(keys).not.toContain("trustedProxies");
    expect(keys).not.toContain("pruneConfig");
    expect(keys).toContain("imagePath");
  });

  test("that are empty say nothing", () => {
    expect(read({ OCIREGISTRY_PORT: "" })).toEqual({ values: {}, unknown: [] });
  });

  test("that Kubernetes sets for services are left alone", () => {
    const links = {
      OCIREGISTRY_SERVICE_HOST: "10.0.0.1",
      OCIREGISTRY_SERVICE_PORT: "80",
      OCIREGISTRY_SERVICE_PORT_HTTP: "80",
      OCIREGISTRY_PORT: "tcp://10.0.0.1:80",
      OCIREGISTRY_PORT_80_TCP: "tcp://10.0.0.1:80",
      OCIREGISTRY_PORT_80_TCP_ADDR: "10.0.0.1",
      OCIREGISTRY_HEALTH_SERVICE_HOST: "10.0.0.2",
      OCIREGISTRY_HEALTH_PORT: "tcp://10.0.0.2:81",
      OCIREGISTRY_HEALTH_PORT_81_TCP_PROTO: "tcp",
    };
    expect(read(links)).toEqual({ values: {}, unknown: [] });
  });

  test("with our prefix that mean nothing are named", () => {
    expect(read({ OCIREGISTRY_TAGTTL: "1m" })).toEqual({ values: {}, unknown: ["OCIREGISTRY_TAGTTL"] });
  });
});
