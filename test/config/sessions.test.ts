/** How browser sessions are configured: what is read, and what is refused in words. */
import { describe, expect, test } from "vitest";
import { readSessionKeys } from "../../src/config/session-config.ts";
import { loadText, problemsOf } from "./load-text.ts";

async function sessionsOf(auth: object): Promise<unknown> {
  const { config } = await loadText(JSON.stringify({ http: { auth: { htpasswd: { path: "f" }, ...auth } } }));
  return config.auth?.sessions;
}

describe("sessions", () => {
  test("are kept in files unless it is said otherwise", async () => {
    expect(await sessionsOf({})).toEqual({ driver: { kind: "local" }, keysPath: undefined, isSecure: false });
    expect(await sessionsOf({ sessionDriver: { name: "local" } })).toMatchObject({ driver: { kind: "local" } });
  });

  test("are kept in Redis as zot writes it, whatever the case of its keys", async () => {
    const url = "redis://user:planted-secret@redis.example.com:6379/1";
    const { config } = await loadText(
      JSON.stringify({ http: { auth: { htpasswd: { path: "f" }, SESSIONDRIVER: { name: "redis", url, keyPrefix: "mine" }, secureSession: "true" } } }),
    );
    const { driver, isSecure } = config.auth?.sessions ?? {};
    expect(driver).toMatchObject({ kind: "redis", keyPrefix: "mine" });
    expect(driver?.kind === "redis" ? driver.url.reveal() : "").toBe(url);
    expect(isSecure).toBe(true);
    expect(JSON.stringify(config)).not.toContain("planted-secret");
    expect(await sessionsOf({ sessionDriver: { name: "redis", url } })).toMatchObject({ driver: { keyPrefix: "zotsession" } });
  });

  test.each([
    ["{name: redis}", "auth.sessionDriver is redis, and has no url"],
    ["{url: 'redis://a'}", "auth.sessionDriver.url has no effect: its name is local, and not redis"],
    ["{name: redis, url: 'http://planted-secret@a'}", "auth.sessionDriver.url must be redis://host:port, or rediss://host:port for TLS"],
    ["{name: redis, url: 'planted-secret'}", "auth.sessionDriver.url must be redis://host:port, or rediss://host:port for TLS"],
    ["{name: redis, url: 'redis://a', keyprefix: 'a b'}", "auth.sessionDriver.keyprefix must be a word of at most 64 characters"],
    ["{name: memcached}", '"memcached", which is none of local, redis'],
    ["{nome: redis}", "unknown key auth.sessionDriver.nome, did you mean name?"],
  ])("%s is refused in words, and what may be secret is not quoted", async (written, problem) => {
    const problems = (await problemsOf(`auth:\n  htpasswd: { path: f }\n  sessionDriver: ${written}\n`)).join();
    expect(problems).toContain(problem);
    expect(problems).not.toContain("planted-secret");
  });
});

describe("the file of keys", () => {
  test.each(['{"hashKey":"h","encryptKey":"e"}', "hashKey: h\nencryptKey: e\n", '{"HASHKEY":"h","encryptkey":"e"}'])("is JSON or YAML: %j", (text) => {
    const { hashKey, encryptKey } = readSessionKeys("auth.sessionKeysFile", text);
    expect([hashKey.reveal(), encryptKey?.reveal()]).toEqual(["h", "e"]);
  });

  test("may do without a key to encrypt by", () => {
    expect(readSessionKeys("auth.sessionKeysFile", '{"hashKey":"h"}').encryptKey).toBeUndefined();
  });

  test.each([
    ["{}", "it needs hashKey"],
    ['{"encryptKey":"planted-secret"}', "it needs hashKey"],
    ['{"hashKey":"planted-secret","encryptKey":1}', "encryptKey must be text"],
    ['{"hashKey":"planted-secret","encryptKey":""}', "encryptKey must be text"],
    ['{"hashKey":"planted-secret","more":"x"}', "it has a key that is neither hashKey nor encryptKey"],
    ['{"hashKey":"planted-secret"', "it is neither JSON nor YAML"],
  ])("%s is refused, and not quoted", (text, problem) => {
    const read = (): unknown => readSessionKeys("auth.sessionKeysFile", text);
    expect(read).toThrow(`auth.sessionKeysFile: ${problem}`);
    expect(read).not.toThrow("planted-secret");
  });
});
