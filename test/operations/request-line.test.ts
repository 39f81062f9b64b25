import { expect, test } from "vitest";
import type { Log, LogFields } from "../../src/oci/log.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import type { RequestRecord } from "../../src/oci/request-record.ts";
import { requestLine } from "../../src/operations/request-line.ts";

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

function lineOf(record: RequestRecord): [level: string, fields: unknown, message: string] {
  const lines: [string, unknown, string][] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      lines.push([level, JSON.parse(JSON.stringify(fields)), message]);
    };
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  requestLine(log, record);
  const [line, ...others] = lines;
  if (!line || others.length > 0) throw new Error(`${lines.length} lines for one request`);
  return line;
}

test("a pull is one line at info that names what was meant", () => {
  expect(lineOf(pull)).toEqual([
    "info",
    {
      requestId: "r1",
      method: "GET",
      repository: "docker.io/library/alpine",
      reference: "latest",
      status: 200,
      bytes: 528,
      ms: 1.2,
      outcome: "hit",
      client: "198.51.100.7",
    },
    "request",
  ]);
});

test("a user is named", () => {
  expect(lineOf({ ...pull, principal: "ann" })[1]).toMatchObject({ user: "ann" });
});

test("a probe is at debug, and what does not apply is left out", () => {
  const probe = { ...pull, kind: "probe", repository: undefined, reference: undefined, outcome: undefined } as const;
  expect(lineOf(probe)).toEqual(["debug", { requestId: "r1", method: "GET", status: 200, bytes: 528, ms: 1.2, client: "198.51.100.7" }, "request"]);
});
