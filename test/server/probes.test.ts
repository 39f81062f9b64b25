import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { createProbeApp } from "../../src/server/app.ts";
import { alpine, serving } from "./serving.ts";

describe("probes", () => {
  const failing = { host: alpine.host, state: "failing", reason: "connection refused", retryInMs: 899.25 } as const;

  test.each(["/health", "/healthz", "/livez"])("%s is 200 while the process answers", async (path) => {
    const { app, records } = serving({ unready: () => "draining" });
    expect((await app.request(path)).status).toBe(200);
    expect(records).toMatchObject([{ kind: "probe", status: 200 }]);
  });

  test("an upstream that is away is told and does not make us unready", async () => {
    const status = { upstreams: () => [failing], fills: () => ({ running: 0, waiting: 0, publishing: 0, readers: 0 }), store: () => ({ writable: true }) };
    const response = await serving({ status }).app.request("/readyz");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: "degraded",
      registries: [{ name: "docker.io", state: "failing", reason: "connection refused", retryInMs: 900 }],
    });
    expect(await (await serving().app.request("/readyz")).json()).toEqual({ status: "ready", registries: [], store: { writable: true } });
  });

  test("draining is 503, and only that answer's", async () => {
    const { app } = serving({ unready: () => "draining", draining: () => true });
    const response = await app.request("/readyz");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ status: "draining" });
    const ping = await app.request("/v2/");
    expect(ping.status).toBe(200);
    expect(ping.headers.get("connection")).toBe("close");
  });

  test("have an app of their own that serves nothing else", async () => {
    const app = createProbeApp({
      clock: systemClock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      onRequest: () => {},
      draining: () => false,
      unready: () => undefined,
      status: { upstreams: () => [], fills: () => ({ running: 0, waiting: 0, publishing: 0, readers: 0 }), store: () => ({ writable: true }) },
      metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "a 1\n" }),
    });
    const metrics = await app.request("/metrics");
    expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await metrics.text()).toBe("a 1\n");
    expect((await app.request("/healthz")).status).toBe(200);
    expect((await app.request("/v2/")).status).toBe(404);
  });
});
