/** The ways for an upstream to be away: how each falls and rises, and what the end of it has to look like. */
import { createServer } from "node:http";
import { openBlackHole } from "../support/black-hole.ts";
import type { TestAuthority } from "../support/certificates.ts";
import type { FakeDns, NameAnswer } from "../support/fake-dns.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import type { Quirk } from "../support/quirks.ts";
import { startRelay } from "../support/relay.ts";

/** One upstream, and how it falls and rises. */
export interface Patient {
  readonly upstream: FakeUpstream;
  /** Its entry under `registries`. */
  readonly registry: Readonly<Record<string, unknown>>;
  /** What is answered for what is not held. */
  readonly absentStatus: number;
  /** What is asked for when it is not held. */
  readonly absentKind?: "manifest" | "blob";
  /** Held tags are served with a warning; true unless told otherwise. */
  readonly isNoticed?: boolean;
  /** So long it asked us to stay away: its recovery counts from the end of that. */
  readonly pauseMs?: number;
  readonly fall: () => Promise<void>;
  readonly rise: () => Promise<void>;
  readonly close?: () => Promise<void>;
}

export type Ways = Readonly<Record<string, () => Promise<Patient>>>;

/** What befalls servers, certificates, token services and CDNs. */
export function networkWays(authority: TestAuthority): Ways {
  return {
    "refuses connections": async () => {
      const upstream = await startFakeUpstream();
      return { upstream, registry: { name: upstream.host }, absentStatus: 502, fall: () => upstream.refuse(), rise: () => upstream.accept() };
    },
    "answers no SYN": async () => {
      const upstream = await startFakeUpstream();
      let hole: AsyncDisposable | undefined;
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 504,
        async fall() {
          await upstream.refuse();
          hole = await openBlackHole(upstream.port);
        },
        async rise() {
          await hole?.[Symbol.asyncDispose]();
          await upstream.accept();
        },
      };
    },
    "accepts and is silent": () => quirky({ silent: "before headers" }, 504),
    "sends headers and then nothing": () => quirky({ silent: "after headers" }, 504),
    "sends a byte a second": () => quirky({ bytesPerSecond: 1 }, 504),
    "answers 503": () => quirky({ status: 503 }, 502),
    "answers 429": async () => ({ ...(await quirky({ status: 429, headers: { "retry-after": "6" } }, 503)), pauseMs: 6_000 }),
    "answers 200 with a page": () => quirky(page, 502),
    "shows an expired certificate": async () => {
      const upstream = await startFakeUpstream({ tls: await authority.issue() });
      const expired = await startFakeUpstream({ tls: await authority.issue({ isExpired: true }) });
      const relay = await startRelay(upstream.port);
      return {
        upstream,
        registry: { name: relay.host, scheme: "https", tls: { ca: authority.certificateFile } },
        absentStatus: 502,
        fall: async () => relay.leadTo(expired.port),
        rise: async () => relay.leadTo(upstream.port),
        close: async () => void (await Promise.all([expired.close(), relay[Symbol.asyncDispose]()])),
      };
    },
    "lost its token service": async () => {
      const [upstream, tokens] = await Promise.all([startFakeUpstream(), startFakeTokenService()]);
      upstream.authentication = { kind: "bearer", tokens };
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 502,
        async fall() {
          tokens.expireAll();
          await tokens.refuse();
        },
        rise: () => tokens.accept(),
        close: () => tokens.close(),
      };
    },
    "has a token service that is silent": async () => {
      const [upstream, tokens] = await Promise.all([startFakeUpstream(), startFakeTokenService()]);
      upstream.authentication = { kind: "bearer", tokens };
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 504,
        async fall() {
          tokens.expireAll();
          tokens.when({}, { silent: "before headers" });
        },
        rise: async () => tokens.behave(),
        close: () => tokens.close(),
      };
    },
    "lost its CDN": async () => {
      const upstream = await startFakeUpstream({ redirectsBlobs: true });
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 502,
        absentKind: "blob",
        isNoticed: false,
        fall: () => upstream.cdn.refuse(),
        rise: () => upstream.cdn.accept(),
      };
    },
  };
}

/** What befalls name servers while the registries are well, to a server that has never known an address. */
export function nameWays(dns: FakeDns): Ways {
  return {
    "its name is never answered": () => named(dns, "silent", { absentStatus: 504 }),
    "its name is unknown": () => named(dns, "unknown", { absentStatus: 502 }),
    "its name server is broken": () => named(dns, "failing", { absentStatus: 502 }),
    "its name leads to nobody": () => named(dns, { address: "127.0.0.3" }, { absentStatus: 502 }),
    "its name leads to somebody else": async () => {
      const patient = await named(dns, { address: "127.0.0.2" }, { absentStatus: 502 });
      const other = createServer((_, response) => void response.writeHead(200, page.headers).end(page.body));
      other.keepAliveTimeout = 120_000; // It would rather keep who has come to it.
      await new Promise<void>((resolve) => other.listen(patient.upstream.port, "127.0.0.2", resolve));
      const close = async (): Promise<void> => {
        other.closeAllConnections();
        await new Promise((resolve) => other.close(resolve));
      };
      return { ...patient, close };
    },
  };
}

/** The same to a server that knows the addresses: they stand in, and nobody notices. */
export function knownNameWays(dns: FakeDns): Ways {
  const unnoticed = { absentStatus: 200, isNoticed: false };
  return {
    "its name is no longer answered": () => named(dns, "silent", unnoticed),
    "its name is no longer known": () => named(dns, "unknown", unnoticed),
    "its name server broke": () => named(dns, "failing", unnoticed),
  };
}

async function named(dns: FakeDns, answer: NameAnswer, expected: Pick<Patient, "absentStatus" | "isNoticed">): Promise<Patient> {
  const upstream = await startFakeUpstream();
  const name = `registry-${upstream.port}.test`;
  const well = { address: "127.0.0.1" };
  dns.tell(name, well);
  return {
    ...expected,
    upstream,
    registry: { name: `${name}:${upstream.port}` },
    async fall() {
      dns.tell(name, answer);
      await upstream.refuse(); // Whoever has a connection asks for no name.
      await upstream.accept();
    },
    rise: async () => dns.tell(name, well),
  };
}

const page = { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html><title>down for maintenance</title>" };

async function quirky(quirk: Quirk, absentStatus: number): Promise<Patient> {
  const upstream = await startFakeUpstream();
  return { upstream, registry: { name: upstream.host }, absentStatus, fall: async () => void upstream.when({}, quirk), rise: async () => upstream.behave() };
}
