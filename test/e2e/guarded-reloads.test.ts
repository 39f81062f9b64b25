/** The password file and the server's certificate change under 16 clients that pull: none of them notices, and who was taken out is out. */
import { copyFile, rename } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { createTestAuthority, type IssuedCertificate } from "../support/certificates.ts";
import { startUntiringClients } from "../support/untiring-clients.ts";
import { basic, startGuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

interface Answer {
  /** 0: there was none. */
  readonly status: number;
  /** Of the certificate that the server showed. */
  readonly serial: string;
}

const path = "/v2/team/app/manifests/1";
const crowd = 16;

test.runIf(requirePrograms("openssl", "htpasswd"))(
  "a user taken out and a new certificate: the user is out within two seconds, the certificate is shown, and no request of others fails",
  async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const [first, second] = [await authority.issue(), await authority.issue()];
    const shown = { certificateFile: join(folder.path, "server.pem"), keyFile: join(folder.path, "server.key") };
    await place(first, shown);
    const tls = { cert: shown.certificateFile, key: shown.keyFile };
    await using guarded = await startGuardedServer({
      repositories: ["team/app"],
      users: ["alice", "bob"],
      config: { http: { tls }, auth: { htpasswd: { path: "HTPASSWD" } } },
    });
    const ask = (user: string, agent: Agent | false) => askOnce({ port: guarded.server.port, ca: authority.certificate, user, agent });

    const statuses = new Map<number, number>();
    // Half of them keep their connection, half make one for each request.
    const agents = Array.from({ length: crowd }, (_, at) => (at % 2 === 0 ? new Agent({ keepAlive: true, maxSockets: 1 }) : false));
    await using pulling = startUntiringClients(crowd, async (client) => {
      const { status } = await ask("alice", agents[client] ?? false);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    const before = await ask("bob", false);
    expect(before.status).toBe(200);

    await guarded.writeUsers(["alice"]);
    const removedMs = performance.now();
    const refused = await lookUntil(
      () => ask("bob", false),
      ({ status }) => status === 401,
      { waitMs: 60_000, everyMs: 20 },
    );
    const refusedMs = performance.now() - removedMs;

    await place(second, shown);
    const renewed = await lookUntil(
      () => ask("alice", false),
      ({ serial }) => serial !== before.serial,
      { waitMs: 30_000 },
    );
    await pulling.stop();
    for (const agent of agents) if (agent) agent.destroy();

    expect(refused.status).toBe(401);
    expect(refusedMs).toBeLessThan(2_000 + 2 * pulling.worstMs);
    expect(renewed.serial).not.toBe(before.serial);
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(10 * crowd);
    expect(guarded.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", expect.stringMatching(/^GET \/v2\/team\/app\/manifests\/sha256:/)]);
  },
  180_000,
);

/** As an operator's tool does: each file whole, by rename; between the two, the key is not the certificate's. */
async function place(from: IssuedCertificate, to: { readonly certificateFile: string; readonly keyFile: string }): Promise<void> {
  for (const which of ["keyFile", "certificateFile"] as const) {
    await copyFile(from[which], `${to[which]}.new`);
    await rename(`${to[which]}.new`, to[which]);
  }
}

function askOnce({ port, ca, user, agent }: { port: number; ca: string; user: string; agent: Agent | false }): Promise<Answer> {
  return new Promise((resolve) => {
    const asked = request({ host: "127.0.0.1", port, path, ca, agent, headers: { authorization: basic(user) } }, (answer) => {
      const serial = (answer.socket as TLSSocket).getPeerCertificate().serialNumber; // What https has is one.
      answer.once("error", () => resolve({ status: 0, serial: "" }));
      answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, serial }));
    });
    asked.once("error", () => resolve({ status: 0, serial: "" })).end();
  });
}
