/** The administrative socket: there for its owner, found by one name, whoever dies and however long the folder's path is. */
import { readdir, readlink, rename, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { request } from "node:http";
import { expect, test } from "vitest";
import { createAdminApp } from "../../src/server/app.ts";
import { openAdminSocket } from "../../src/server/admin-socket.ts";
import { KeptLog } from "../support/kept-log.ts";
import { MemoryRegistry } from "../support/memory-registry.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { appOptions, recordedActions } from "./serving.ts";

function adminSocket(statePath: string, instance: string, { clock = new TestClock({ startMs: Date.now() }) } = {}) {
  const actions = recordedActions();
  const log = new KeptLog();
  const app = createAdminApp(appOptions({ registry: new MemoryRegistry() }), actions);
  return { actions, log, clock, opening: openAdminSocket({ app, statePath, instance, clock, log }) };
}

function ask(socketPath: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, headers: { connection: "close" } }, (answer) => {
      let body = "";
      answer.on("data", (chunk: Buffer) => (body += chunk.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body }));
    })
      .on("error", reject)
      .end();
  });
}

test("whoever can open it is asked nothing, and nobody else can", async () => {
  await using folder = await temporaryFolder();
  const statePath = `${folder.path}/state`;
  const { opening, actions } = adminSocket(statePath, "boot-1-1-a");
  const listener = await opening;
  expect(await ask(`${statePath}/admin.sock`, "/cmd/manifest/list")).toEqual({ status: 200, body: "no manifests found\n" });
  expect((await ask(`${statePath}/admin.sock`, "/healthz")).status).toBe(200);
  expect(await ask(`${statePath}/admin.sock`, "/v2/")).toEqual({ status: 200, body: "{}" });
  expect((await ask(`${statePath}/admin.sock`, "/home")).status).toBe(404);
  expect(actions.calls).toHaveLength(1);
  const modes = await Promise.all([statePath, `${statePath}/admin-boot-1-1-a.sock`].map(async (path) => (await stat(path)).mode & 0o777));
  expect(modes).toEqual([0o700, 0o600]);
  await listener?.close();
  expect(await readdir(statePath)).toEqual([]);
});

test("admin.sock leads to the newest, and back to the one before when that ends", async () => {
  await using folder = await temporaryFolder();
  const first = await adminSocket(folder.path, "boot-1-1-a").opening;
  const second = await adminSocket(folder.path, "boot-1-2-b").opening;
  expect(await readlink(`${folder.path}/admin.sock`)).toBe("admin-boot-1-2-b.sock");
  await second?.close();
  expect(await readlink(`${folder.path}/admin.sock`)).toBe("admin-boot-1-1-a.sock");
  expect((await ask(`${folder.path}/admin.sock`, "/healthz")).status).toBe(200);
  await first?.close();
  expect(await readdir(folder.path)).toEqual([]);
});

test("what a killed server left is removed at the next start, and the link it left leads on", async () => {
  await using folder = await temporaryFolder();
  await leaveDead(`${folder.path}/admin-boot-1-9-z.sock`);
  await symlink("admin-boot-1-9-z.sock", `${folder.path}/admin.sock`);
  const listener = await adminSocket(folder.path, "boot-1-1-a").opening;
  expect((await readdir(folder.path)).toSorted()).toEqual(["admin-boot-1-1-a.sock", "admin.sock"]);
  expect((await ask(`${folder.path}/admin.sock`, "/healthz")).status).toBe(200);
  await listener?.close();
});

test("one that runs takes the link over when the newer one was killed", async () => {
  await using folder = await temporaryFolder();
  const { opening, clock } = adminSocket(folder.path, "boot-1-1-a");
  const listener = await opening;
  await leaveDead(`${folder.path}/admin-boot-1-2-b.sock`);
  await unlink(`${folder.path}/admin.sock`);
  await symlink("admin-boot-1-2-b.sock", `${folder.path}/admin.sock`);
  await clock.advance(60_000);
  await expect.poll(() => readlink(`${folder.path}/admin.sock`)).toBe("admin-boot-1-1-a.sock");
  await listener?.close();
});

test("a socket of another machine is not taken for dead before its owner was silent for a day", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/admin-other-1-9-z.sock`;
  await leaveDead(path);
  const { opening, clock } = adminSocket(folder.path, "boot-1-1-a");
  const listener = await opening;
  expect(await readdir(folder.path)).toContain("admin-other-1-9-z.sock");
  clock.jump(25 * 3_600_000);
  await clock.advance(60_000);
  await expect.poll(() => readdir(folder.path)).not.toContain("admin-other-1-9-z.sock");
  await listener?.close();
});

test("a path longer than a socket's may be works all the same", async () => {
  await using folder = await temporaryFolder();
  const statePath = `${folder.path}/${"long-".repeat(20)}/${"longer-".repeat(10)}`;
  const { opening, log } = adminSocket(statePath, "boot-1-1-a");
  const listener = await opening;
  expect(log.lines).toEqual([]);
  expect((await readdir(statePath)).toSorted()).toEqual(["admin-boot-1-1-a.sock", "admin.sock"]);
  await symlink(statePath, `${folder.path}/short`);
  expect((await ask(`${folder.path}/short/admin.sock`, "/healthz")).status).toBe(200);
  await listener?.close();
  expect(await readdir(statePath)).toEqual([]);
});

test("where there can be no folder there is no socket, and the log says so", async () => {
  await using folder = await temporaryFolder();
  await writeFile(`${folder.path}/state`, "");
  const { opening, log } = adminSocket(`${folder.path}/state`, "boot-1-1-a");
  expect(await opening).toBeUndefined();
  expect(log.lines).toEqual([expect.stringMatching(/^warn no admin\.sock/)]);
});

test("where a folder can be neither found nor made nobody waits for it for ever", async () => {
  const { opening, log } = adminSocket("/proc/none/state", "boot-1-1-a");
  expect(await opening).toBeUndefined();
  expect(log.lines).toEqual([expect.stringMatching(/^warn no admin\.sock/)]);
});

/** A socket as a killed process leaves it: bound, and nobody behind it. */
async function leaveDead(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.made`, resolve));
  await rename(`${path}.made`, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
