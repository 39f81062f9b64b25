import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { providerNames, providerOptions } from "../../src/config/provider-options.ts";
import { Secret } from "../../src/oci/secret.ts";
import { loadText, problemsOf, withoutFolder } from "./load-text.ts";

/** A configuration whose only registry has this `auth.token`, from line 4 on. */
const withToken = (token: string): string => `registries:\n  - name: a.b\n    auth:\n      token: ${token}\n`;

async function credentialOf(text: string): Promise<NonNullable<Config["registries"][number]["auth"]>["credential"] | undefined> {
  const { config } = await loadText(text);
  return config.registries[0]?.auth?.credential;
}

describe("the Go ociregistry's forms", () => {
  test("its documented block for ECR is read as it is", async () => {
    const text = `registries:
  - name: 111122223333.dkr.ecr.us-south-1.amazonaws.com
    auth:
      token:
        provider: ecr
        providerOpts: profile=default,region=us-south-1
        expiry: 6h
`;
    const { config, notices } = await loadText(text);
    expect(notices).toEqual([]);
    expect(config.registries).toMatchObject([
      {
        name: "111122223333.dkr.ecr.us-south-1.amazonaws.com",
        auth: { credential: { kind: "ecr", profile: "default", region: "us-south-1", expiryMs: 21_600_000 }, realmHosts: [] },
      },
    ]);
  });

  test("all of its keys at once: the static token wins, and nothing else has an effect", async () => {
    const { config, notices } = await loadText(withToken('{ provider: ecr, providerOpts: "profile=default", expiry: 12h, static: QVdTOnA= }'));
    expect(config.registries[0]?.auth?.credential).toEqual({ kind: "static", scheme: "basic", token: { kind: "given", secret: expect.any(Secret) } });
    expect(notices.map(withoutFolder)).toEqual(["config.yaml:4: registries[0].auth.token.provider has no effect: there is a static token"]);
  });

  test("a token wins over a password", async () => {
    const { config, notices } = await loadText("registries:\n  - name: a.b\n    auth: { user: u, password: p, token: { static: dTpw } }\n");
    expect(config.registries[0]?.auth?.credential.kind).toBe("static");
    expect(notices.map(withoutFolder)).toEqual(["config.yaml:3: registries[0].auth.user has no effect: there is a token"]);
  });

  test("keys that are written out and empty say nothing", async () => {
    expect(await credentialOf(withToken('{ provider: "", providerOpts: "", expiry: "", static: "" }'))).toBeUndefined();
    expect(await credentialOf("registries:\n  - name: a.b\n    auth: { user: u, password: p, token: {} }\n")).toMatchObject({ kind: "password", user: "u" });
    expect(await credentialOf(withToken('{ provider: ecr, providerOpts: "", expiry: "" }'))).toEqual({ kind: "ecr" });
  });

  test("names of providers and options are known in any case, values keep theirs", async () => {
    expect(await credentialOf(withToken('{ provider: ECR, providerOpts: " Profile = Team-A , REGION=us-East-1,rolearn=arn:aws:iam::1:role/A=b " }'))).toEqual({
      kind: "ecr",
      profile: "Team-A",
      region: "us-East-1",
      roleArn: "arn:aws:iam::1:role/A=b",
    });
  });
});

describe("what each provider is told", () => {
  test.each([
    ["{ static: dTpw }", { kind: "static", scheme: "basic", token: { kind: "given" } }],
    ["{ staticFromEnv: TOKEN, scheme: bearer }", { kind: "static", scheme: "bearer", token: { kind: "environment", variable: "TOKEN" } }],
    ["{ staticFile: t.txt, scheme: '' }", { kind: "static", scheme: "basic", token: { kind: "file", path: "t.txt" } }],
    ["{ provider: ecr }", { kind: "ecr", region: undefined, expiryMs: undefined }],
    [
      "{ provider: ecr, providerOpts: { profile: p, region: r, account: '0123', roleArn: a, externalId: e, endpoint: 'https://vpce.example' } }",
      { kind: "ecr", profile: "p", region: "r", account: "0123", roleArn: "a", externalId: "e", endpoint: "https://vpce.example" },
    ],
    ["{ provider: ecr-public, providerOpts: profile=p, expiry: 90m }", { kind: "ecr-public", profile: "p", expiryMs: 5_400_000 }],
    ["{ provider: docker-config }", { kind: "docker-config", path: undefined }],
    ["{ provider: docker-config, providerOpts: path=/etc/auth.json }", { kind: "docker-config", path: "/etc/auth.json" }],
    ["{ provider: exec, providerOpts: helper=ecr-login }", { kind: "exec", protocol: "docker", command: "docker-credential-ecr-login", args: [] }],
    [
      "{ provider: exec, providerOpts: { command: /usr/bin/plugin, args: [--verbose, 'a b,c'], protocol: kubelet } }",
      { kind: "exec", protocol: "kubelet", command: "/usr/bin/plugin", args: ["--verbose", "a b,c"] },
    ],
    ["{ provider: gcp }", { kind: "gcp", keyFile: undefined, use: "token" }],
    ["{ provider: gcp, providerOpts: 'keyFile=k.json,use=json-key' }", { kind: "gcp", keyFile: "k.json", use: "json-key" }],
    ["{ provider: azure }", { kind: "azure", identity: undefined, clientSecret: undefined }],
    ["{ provider: azure, providerOpts: 'identity=managed,clientId=c' }", { kind: "azure", identity: "managed", clientId: "c" }],
    ["{ provider: azure, providerOpts: federatedTokenFile=f }", { kind: "azure", identity: "workload", federatedTokenFile: "f" }],
    [
      "{ provider: azure, providerOpts: { tenantId: t, clientId: c, clientSecretFromEnv: S, authorityHost: 'https://login.example' } }",
      { kind: "azure", identity: "service-principal", clientSecret: { kind: "environment", variable: "S" }, authorityHost: "https://login.example" },
    ],
    [
      "{ provider: oauth2, providerOpts: { tokenUrl: 'https://i/t?x=1', clientId: c, clientSecretFile: f, scope: 'a b', audience: x } }",
      {
        kind: "oauth2",
        tokenUrl: "https://i/t?x=1",
        grant: "client-credentials",
        clientId: "c",
        clientSecret: { kind: "file", path: "f" },
        scope: "a b",
        audience: "x",
        use: "bearer",
      },
    ],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=https://i/t,grant=token-exchange,assertionFile=j,user=robot' }",
      { kind: "oauth2", grant: "token-exchange", assertionFile: "j", use: "basic", user: "robot" },
    ],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=https://i/t,grant=client-credentials,assertionFile=j' }",
      { grant: "client-credentials", assertionFile: "j" },
    ],
  ])("%s", async (token, expected) => {
    const { config, notices } = await loadText(withToken(token));
    expect(config.registries[0]?.auth?.credential).toMatchObject(expected);
    expect(notices).toEqual([]);
  });

  test("a client's secret with an = in it is whole, in text too", async () => {
    const credential = await credentialOf(withToken("{ provider: azure, providerOpts: 'tenantId=t,clientId=c,clientSecret=a=b==' }"));
    expect(credential?.kind === "azure" && credential.clientSecret?.kind === "given" && credential.clientSecret.secret.reveal()).toBe("a=b==");
  });

  test("mirrors have tokens too", async () => {
    const { config } = await loadText(
      "registries: [{ name: a.b, endpoints: [{ url: 'https://m', auth: { token: { provider: gcp }, realmHosts: [r.example] } }] }]",
    );
    expect(config.registries[0]?.endpoints[0]?.auth).toMatchObject({ credential: { kind: "gcp" }, realmHosts: ["r.example"] });
  });

  test("options in the table are in the schema, each for some provider", async () => {
    for (const provider of providerNames) {
      for (const option of providerOptions[provider]) {
        const problems = await problemsOf(withToken(`{ provider: ${provider}, providerOpts: { ${option}: "" } }`));
        expect(
          problems.filter((line) => line.includes("no option")),
          option,
        ).toEqual([]);
      }
    }
  });
});

describe("what is wrong with a token", () => {
  const name = "registries[0].auth.token";
  const options = `${name}.providerOpts`;
  test.each([
    ["{ provider: ecs }", `${name}.provider is "ecs", which is none of ecr, ecr-public, docker-config, exec, gcp, azure, oauth2`],
    ["{ expiry: 6h }", `${name} has expiry and no provider, which is one of ecr, ecr-public, docker-config, exec, gcp, azure, oauth2`],
    ["{ providerOpts: profile=p }", `${name} has providerOpts and no provider, which is one of ecr, ecr-public, docker-config, exec, gcp, azure, oauth2`],
    [
      "{ provider: ecr, expiry: 0s }",
      `${name}.expiry is "0s", which is not a duration above 0 such as 6h; without it a credential is used as long as it lives`,
    ],
    ["{ provider: ecr, expiry: -1 }", expect.stringContaining(`${name}.expiry is "-1", which is not a duration above 0`)],
    ["{ provider: ecr, expiry: -6h }", expect.stringContaining(`${name}.expiry is "-6h", which is not a duration above 0`)],
    ["{ provider: ecr, scheme: bearer }", `${name} has a scheme, which is for static tokens, and the provider ecr`],
    ["{ static: a, staticFile: b }", `${name} has static and staticFile: one is enough`],
    ["{ provider: ecr, providerOpts: [a] }", `${options} must be name=value,name=value, or keys and values`],
    ["{ provider: ecr, providerOpts: profile }", expect.stringContaining(`${options} must be name=value,name=value, and number 1 of these is not`)],
    ["{ provider: ecr, providerOpts: 'profile=p,' }", expect.stringContaining("and number 2 of these is not")],
    ["{ provider: ecr, providerOpts: 'profile=p,Profile=q' }", `${options} has profile twice`],
    ["{ provider: ecr, providerOpts: 'foo=bar,profile=p' }", `${options} has no option foo: ecr takes profile, region, account, roleArn, externalId, endpoint`],
    ["{ provider: ecr, providerOpts: { regoin: x } }", `${options} has no option regoin: ecr takes profile, region, account, roleArn, externalId, endpoint`],
    ["{ provider: ecr-public, providerOpts: region=eu-west-1 }", `${options} has no option region: ecr-public takes profile, roleArn, externalId, endpoint`],
    ["{ provider: docker-config, providerOpts: { keyFile: k } }", `${options} has no option keyFile: docker-config takes path`],
    ["{ provider: ecr, providerOpts: { __proto__: k } }", expect.stringContaining(`${options} has no option __proto__`)],
    [
      "{ provider: ecr, providerOpts: endpoint=ecr.example }",
      `${options}.endpoint must be a url such as https://login.example.com/token, without user and fragment`,
    ],
    ["{ provider: ecr, providerOpts: externalId=e }", `${options} has an externalId and no roleArn to assume with it`],
    ["{ provider: exec }", `${options} needs a helper (ecr-login for docker-credential-ecr-login), or a command and its protocol`],
    ["{ provider: exec, providerOpts: 'helper=a,command=b' }", `${options} has helper and command: one is enough`],
    [
      "{ provider: exec, providerOpts: helper=../../sh }",
      `${options} has a helper that is no name of letters, digits and -; name a path as command, with protocol: docker`,
    ],
    [
      "{ provider: exec, providerOpts: 'helper=a,protocol=kubelet' }",
      `${options} has a helper, which speaks docker, and protocol: kubelet; name the plugin as command`,
    ],
    ["{ provider: exec, providerOpts: { helper: a, args: [b] } }", `${options} has args and no command; a helper takes none`],
    ["{ provider: exec, providerOpts: command=a }", `${options} has a command and no protocol, which is docker or kubelet`],
    ["{ provider: exec, providerOpts: 'command=a,protocol=kubelet,args=b' }", `${options}.args must be a list`],
    ["{ provider: exec, providerOpts: 'command=a,protocol=grpc' }", `${options}.protocol is "grpc", which is none of docker, kubelet`],
    ["{ provider: gcp, providerOpts: use=json-key }", `${options} has use: json-key and no keyFile`],
    ["{ provider: gcp, providerOpts: use=bearer }", `${options} has use: bearer; gcp takes token or json-key`],
    ["{ provider: azure, providerOpts: clientSecret=s }", `${options} has no tenantId and no clientId, which a service principal needs`],
    [
      "{ provider: azure, providerOpts: identity=service-principal }",
      `${options} has no tenantId and no clientId and no clientSecret, which a service principal needs`,
    ],
    ["{ provider: azure, providerOpts: 'clientSecret=s,clientSecretFile=f' }", `${options} has clientSecret and clientSecretFile: one is enough`],
    ["{ provider: azure, providerOpts: 'clientSecretFile=s,federatedTokenFile=f' }", `${options} has clientSecretFile and federatedTokenFile: one is enough`],
    [
      "{ provider: azure, providerOpts: 'identity=managed,clientSecretFromEnv=S' }",
      `${options} has clientSecretFromEnv, which identity: managed does not take`,
    ],
    ["{ provider: azure, providerOpts: 'identity=managed,federatedTokenFile=f' }", `${options} has federatedTokenFile, which identity: managed does not take`],
    ["{ provider: azure, providerOpts: 'authorityHost=http://127.0.0.1:1' }", `${options} has an authorityHost without https`],
    ["{ provider: oauth2 }", `${options} has no tokenUrl`],
    ["{ provider: oauth2, providerOpts: tokenUrl=https://u:p@i }", expect.stringMatching(/providerOpts\.tokenUrl must be a url such as [^@]*$/)],
    ["{ provider: oauth2, providerOpts: tokenUrl=https://i }", `${options} has neither a clientSecret nor an assertionFile to show`],
    ["{ provider: oauth2, providerOpts: 'tokenUrl=https://i,clientSecret=s' }", `${options} has clientSecret and no clientId`],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=https://i,assertionFile=j' }",
      `${options} has an assertionFile and no grant, which is jwt-bearer, token-exchange, or client-credentials`,
    ],
    ["{ provider: oauth2, providerOpts: 'tokenUrl=https://i,grant=jwt-bearer' }", `${options} has grant: jwt-bearer and no assertionFile`],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=https://i,grant=client-credentials,assertionFile=j,clientId=c,clientSecret=s' }",
      `${options} has clientSecret and assertionFile: one is enough`,
    ],
    ["{ provider: oauth2, providerOpts: 'tokenUrl=https://i,clientId=c,clientSecret=s,use=basic' }", `${options} has use: basic and no user`],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=https://i,clientId=c,clientSecret=s,use=bearer,user=u' }",
      `${options} has use: bearer and a user: a bearer token has none`,
    ],
    ["{ provider: oauth2, providerOpts: 'tokenUrl=https://i,clientId=c,clientSecret=s,use=token' }", `${options} has use: token; oauth2 takes bearer or basic`],
  ])("%s", async (token, problem) => {
    const [line = "", ...others] = await problemsOf(withToken(token));
    expect(others).toEqual([]);
    expect(line).toMatch(/^config\.yaml:4: /);
    expect(line.slice("config.yaml:4: ".length).replace(/ \(line 4\)$/, "")).toEqual(problem);
  });

  test("the line is that of the option", async () => {
    const text =
      "registries:\n  - name: a.b\n    auth:\n      token:\n        provider: ecr\n        providerOpts:\n          profile: p\n          regoin: r\n";
    expect(await problemsOf(text)).toEqual([expect.stringMatching(/^config\.yaml:8: registries\[0\]\.auth\.token\.providerOpts has no option regoin/)]);
  });
});

describe("credentials by repository", () => {
  test("are read, each with its pattern", async () => {
    const { config, notices } = await loadText(`
registries:
  - name: quay.io
    auth: { user: rest, passwordFromEnv: REST }
    credentials:
      - { match: team-a/**, auth: { user: a, passwordFile: a.txt, realmHosts: [login.example] } }
      - { match: "team-{b,c}/*", auth: { token: { provider: ecr } } }
`);
    expect(notices).toEqual([]);
    expect(config.registries[0]?.credentials).toMatchObject([
      { match: "team-a/**", auth: { credential: { kind: "password", user: "a" }, realmHosts: ["login.example"] } },
      { match: "team-{b,c}/*", auth: { credential: { kind: "ecr" } } },
    ]);
  });

  test.each([
    ["- auth: { user: u, password: p }", "config.yaml:4: registries[0].credentials[0].match is missing"],
    ["- match: a/**", "config.yaml:4: registries[0].credentials[0].auth is missing"],
    ["- { match: '', auth: { user: u, password: p } }", expect.stringContaining("registries[0].credentials[0].match must not be empty")],
    ["- { match: a/**, auth: {} }", "config.yaml:4: registries[0].credentials[0].auth has neither a user nor a token"],
    ["- { match: a/**, auth: { user: u } }", "config.yaml:4: registries[0].credentials[0].auth has a user and no password"],
    ["- { match: a/**, auth: { token: { provider: exec } } }", expect.stringContaining("registries[0].credentials[0].auth.token.providerOpts needs a helper")],
    ["- { match: Quay.io/a/**, auth: { user: u, password: p } }", 'config.yaml:4: registries[0].credentials[0].match begins with the registry; write "a/**"'],
    ["- { mtch: a/** }", expect.stringContaining("unknown key registries[0].credentials[0].mtch, did you mean match?")],
  ])("%s", async (entry, problem) => {
    const problems = await problemsOf(`registries:\n  - name: quay.io\n    credentials:\n      ${entry}\n`);
    expect(problems).toContainEqual(problem);
  });

  test("the same pattern twice is an error", async () => {
    const entry = "      - { match: a/**, auth: { user: u, password: p } }\n";
    expect(await problemsOf(`registries:\n  - name: quay.io\n    credentials:\n${entry}${entry}`)).toEqual([
      'config.yaml:5: registries[0].credentials[1].match: "a/**" is written twice',
    ]);
  });
});

describe("notices about tokens", () => {
  test.each([
    ["{ provider: docker-config, expiry: 6h }", "registries[0].auth.token.expiry has no effect: docker-config is read again whenever it changes"],
    [
      "{ provider: oauth2, providerOpts: 'tokenUrl=http://i.example/t,clientId=c,clientSecret=s' }",
      "registries[0].auth.token.providerOpts.tokenUrl is plain http, which is refused for a registry that is reached by https",
    ],
    ["{ provider: ecr, providerOpts: endpoint=http://aws.example }", "registries[0].auth.token.providerOpts.endpoint is plain http: tokens travel so"],
  ])("%s", async (token, notice) => {
    expect((await loadText(withToken(token))).notices.map(withoutFolder)).toEqual([`config.yaml:4: ${notice}`]);
  });

  test("a token for a registry that is spoken to by plain http", async () => {
    const { notices } = await loadText("registries:\n  - name: a.b\n    scheme: http\n    auth: { token: { static: dTpw } }\n");
    expect(notices.map(withoutFolder)).toEqual(["config.yaml:3: the token for a.b travels over plain http"]);
  });

  test("none for plain http on this machine", async () => {
    for (const url of ["http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566"]) {
      expect((await loadText(withToken(`{ provider: ecr, providerOpts: "endpoint=${url}" }`))).notices).toEqual([]);
    }
  });
});

describe("secrets", () => {
  const secret = "hunter2-Zm9vYmFy";

  test.each([
    `{ static: ${secret} }`,
    `{ provider: azure, providerOpts: { tenantId: t, clientId: c, clientSecret: ${secret} } }`,
    `{ provider: azure, providerOpts: "tenantId=t,clientId=c,clientSecret=${secret}" }`,
    `{ provider: oauth2, providerOpts: { tokenUrl: "https://i", clientId: c, clientSecret: ${secret} } }`,
  ])("%s does not show, however the configuration is printed", async (token) => {
    const { config } = await loadText(withToken(token));
    for (const printed of [JSON.stringify(config), inspect(config, { depth: Infinity })]) expect(printed).not.toContain("hunter2");
  });

  test.each([
    `{ static: [${secret}] }`,
    `{ static: ${secret}, staticFile: f }`,
    `{ provider: ecr, providerOpts: ${secret} }`,
    `{ provider: azure, providerOpts: "clientSecret=a,${secret}" }`,
    `{ provider: azure, providerOpts: "clientSecret=a,${secret}=" }`,
    `{ provider: azure, providerOpts: "clientSecret=a,b,${secret}=b" }`,
    `{ provider: azure, providerOpts: { clientSecret: { ${secret}: 1 } } }`,
    `{ provider: azure, providerOpts: { clientSecret: [${secret}] } }`,
    `{ provider: gcp, providerOpts: { clientSecret: ${secret} } }`,
    `{ provider: oauth2, providerOpts: "tokenUrl=https://u:${secret}@i" }`,
  ])("%s is wrong, and says so without it", async (token) => {
    const problems = await problemsOf(withToken(token));
    expect(problems).not.toEqual([]);
    expect(problems.join()).not.toContain("hunter2");
  });
});
