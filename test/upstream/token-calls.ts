/** Token calls: the project's own connections, as a provider gets them that has to ask somebody for a token. */
import { Background } from "../../src/oci/background.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { AddressPolicy, ListedAddresses } from "../../src/upstream/address-policy.ts";
import type { CredentialProvider, IssuedCredential } from "../../src/upstream/credentials.ts";
import { HttpClient } from "../../src/upstream/http-client.ts";
import { NameLookup } from "../../src/upstream/name-lookup.ts";
import { Proxies } from "../../src/upstream/proxies.ts";
import type { SendRequest } from "../../src/upstream/token-endpoint.ts";
import { defaultDeadlines, type UpstreamTls } from "../../src/upstream/upstream-options.ts";

export interface TokenCalls extends AsyncDisposable {
  readonly registry: URL;
  readonly send: SendRequest;
  readonly clock: Clock;
  readonly userAgent: string;
}

/** For a registry at `registry`, where every name means 127.0.0.1; `listed` may be asked beside it, as what an operator writes into a provider's options. */
export function startTokenCalls(registry: string, { listed = [], tls }: { listed?: readonly string[]; tls?: UpstreamTls } = {}): TokenCalls {
  const own = new URL(registry);
  const addresses = new ListedAddresses();
  for (const url of [registry, ...listed]) addresses.addUrl(new URL(url));
  const background = new Background(silentLog);
  const client = new HttpClient({
    policy: new AddressPolicy({ listed: () => addresses, own, isListed: true }),
    names: new NameLookup({
      clock: systemClock,
      background,
      lookupMs: defaultDeadlines.lookupMs,
      resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
    }),
    proxies: new Proxies(),
    tls,
    clock: systemClock,
    background,
    deadlines: defaultDeadlines,
  });
  return {
    registry: own,
    send: (request) => client.send(request),
    clock: systemClock,
    userAgent: "ociregistry/test",
    async [Symbol.asyncDispose]() {
      await client.close();
      await background.settled();
    },
  };
}

/** One fetch that nobody cuts short. */
export function fetchOnce(provider: CredentialProvider): Promise<IssuedCredential> {
  return provider.fetch(new AbortController().signal);
}
