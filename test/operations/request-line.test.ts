import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import type { RequestRecord } from "../../src/oci/request-record.ts";
import { createLogging } from "../../src/operations/logging.ts";
import { requestLine } from "../../src/operations/request-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const pull: RequestRecord = {
  requestId: "r1",
  method: "GET",
  kind: "manifest",
  repository: repositoryOf(parseRegistryHost("docker.io"), parseRepositoryPath("alpine")),
  reference: "latest",
  status: 200,
  sentBytes: 528,
  durationMs: 1.234,
  outcome: "hit",
  client: "198.51.100.7",
  principal: undefined,
};

function lineOf(record: RequestRecord): Record<string, unknown> {
  const line = requestLine(record, `,"time":"2026-01-01T00:00:00.000Z"`);
  expect(line.endsWith("}\n")).toBe(true);
  expect(line.trimEnd()).not.toContain("\n");
  return JSON.parse(line) as Record<string, unknown>;
}

test("a pull is one line at info that names what was meant", () => {
  const line = lineOf(pull);
  expect(line).toEqual({
    level: "info",
    time: "2026-01-01T00:00:00.000Z",
    requestId: "r1",
    method: "GET",
    repository: "docker.io/library/alpine",
    reference: "latest",
    status: 200,
    bytes: 528,
    ms: 1.2,
    outcome: "hit",
    client: "198.51.100.7",
    msg: "request",
  });
  expect(Object.keys(line).slice(0, 3)).toEqual(["level", "time", "requestId"]);
});

test("a user is named, whatever the name holds", () => {
  expect(lineOf({ ...pull, principal: "ann" })).toMatchObject({ user: "ann" });
  expect(lineOf({ ...pull, principal: 'ann", "status": 500\n{' })).toMatchObject({ user: 'ann", "status": 500\n{', status: 200 });
});

test("a probe is at debug, and what does not apply is left out", () => {
  const probe = { ...pull, kind: "probe", repository: undefined, reference: undefined, outcome: undefined } as const;
  const { time, ...line } = lineOf(probe);
  expect(line).toEqual({ level: "debug", requestId: "r1", method: "GET", status: 200, bytes: 528, ms: 1.2, client: "198.51.100.7", msg: "request" });
  expect(time).toBeDefined();
});

test("the line is in the log's own form, and only where the level lets it through", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "log");
  const { logRequest, log, setLevel, flush } = createLogging({ level: "info", file });
  logRequest({ ...pull, kind: "probe" });
  logRequest(pull);
  log.info({ requestId: "r1" }, "request");
  setLevel("warn");
  logRequest(pull);
  await flush();
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  const [written = "", logged = ""] = lines;
  const beginning = /^\{"level":"info","time":"[0-9T:.-]+Z","requestId":"r1",/;
  expect(written).toMatch(beginning);
  expect(logged.replace('"r1"', '"r1",')).toMatch(beginning);
});
