/** A configuration that is read again: all of it holds, or none of it, and what the one that stays names is watched as before. */
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { createTestAuthority } from "../support/certificates.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

type Written = Record<string, unknown>;

const path = "/v2/team/app/manifests/1";
const config = {
  auth: { htpasswd: { path: "HTPASSWD" } },
  accessControl: { repositories: { "team/**": { defaultPolicy: ["read"] } } },
};

/** Writes the file anew, and waits for what the server says of it. */
async function rewrite({ server }: GuardedServer, change: (config: Written) => Written, said: RegExp): Promise<string> {
  const before = server.process.output.length;
  await writeFile(server.configFile, JSON.stringify(change(JSON.parse(await readFile(server.configFile, "utf8")) as Written)));
  await server.process.waitForOutput(said);
  return server.process.output.slice(before);
}

function statusOf(guarded: GuardedServer, of: string, user: string): Promise<number> {
  return guarded.get(of, { user }).then(({ status }) => status);
}

test("one that fails at its last step changes nothing: not who may come in, not what they may read, not what registries are called", async () => {
  await using folder = await temporaryFolder();
  const [others, junk] = [join(folder.path, "others"), join(folder.path, "junk.pem")];
  await using guarded = await startGuardedServer({ repositories: ["team/app", "other/app"], users: ["alice"], config });
  await using next = await startGuardedServer({ users: ["carol"], config });
  await copyFile(join(next.folder, "htpasswd"), others);
  await writeFile(junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const look = () => Promise.all([statusOf(guarded, path, "alice"), statusOf(guarded, "/v2/other/app/manifests/1", "alice"), statusOf(guarded, path, "carol")]);
  expect(await look()).toEqual([200, 403, 401]);
  const told = await rewrite(
    guarded,
    (written) => ({
      ...written,
      registries: [...(written["registries"] as object[]), { name: "broken.example", tls: { cert: junk, key: junk } }],
      auth: { htpasswd: { path: others } },
      accessControl: { repositories: { "**": { defaultPolicy: ["read"] } } },
    }),
    /"msg":"configuration not reloaded: the old one stays"/,
  );
  expect(told).toMatch(/"problem":"registry broken\.example: [^"]*tls/);
  expect(await look()).toEqual([200, 403, 401]);
});

test("after one that is refused, what the old one names is looked at as before, and so is what the refused one names", async () => {
  await using folder = await temporaryFolder();
  const [certificate, key] = [join(folder.path, "mirror.pem"), join(folder.path, "mirror.key")];
  const authority = await createTestAuthority(folder.path);
  const issued = await authority.issue();
  await writeFile(certificate, "nothing yet");
  await copyFile(issued.keyFile, key);
  await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice", "bob"], config });
  const withMirror = (written: Written): Written => ({
    ...written,
    registries: [...(written["registries"] as object[]), { name: "mirror.example", tls: { cert: certificate, key } }],
  });
  await rewrite(guarded, withMirror, /"msg":"configuration not reloaded: the old one stays"/);
  expect(await statusOf(guarded, path, "bob")).toBe(200);
  await guarded.writeUsers(["alice"]);
  await expect.poll(() => statusOf(guarded, path, "bob"), { timeout: 10_000 }).toBe(401);
  await copyFile(issued.certificateFile, certificate);
  await guarded.server.process.waitForOutput(/mirror\.pem changed".*"msg":"configuration reloaded"/);
});

test.runIf(requirePrograms("openssl"))(
  "another certificate by another path is shown from then on; whether there is TLS at all is for the next start",
  async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const [first, second] = [await authority.issue(), await authority.issue()];
    const tls = { cert: first.certificateFile, key: first.keyFile };
    await using guarded = await startGuardedServer({ users: ["alice"], config: { ...config, http: { tls } } });
    const before = await serialShown(guarded.server.port, authority.certificate);
    const told = await rewrite(
      guarded,
      (written) => ({ ...written, http: { tls: { cert: second.certificateFile, key: second.keyFile } } }),
      /"msg":"configuration reloaded"/,
    );
    expect(told).not.toContain("next start");
    expect(await serialShown(guarded.server.port, authority.certificate)).not.toBe(before);
    await rewrite(
      guarded,
      (written) => Object.fromEntries(Object.entries(written).filter(([key]) => key !== "http")),
      /"settings":\["serverTls"\].*"msg":"these settings changed, and take effect at the next start"/,
    );
  },
);

function serialShown(port: number, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
