/**
 * LdapConnection: one connection to a directory, secured before anything is said on it, for one operation at a time. It never dials
 * again by itself: what the library would send on a new connection, nobody has secured.
 */
import { connect as dial, isIP, type Socket } from "node:net";
import { connect as dialTls, type ConnectionOptions } from "node:tls";
import type { Client, Entry, SearchOptions } from "ldapts";

/** `ldaps`: TLS from the first byte. `starttls`: TLS is asked for, and nothing else said if it is refused. `plain`: in the clear. */
export type LdapTransport = "ldaps" | "starttls" | "plain";

export interface LdapAddress {
  readonly host: string;
  readonly port: number;
  readonly transport: LdapTransport;
  /** PEM; undefined: what the system trusts. */
  readonly authority: string | undefined;
  readonly skipVerify: boolean;
}

type Library = typeof import("ldapts");

export class LdapConnection {
  readonly #client: Client;
  #socket: Socket | undefined;
  #isClosed = false;

  /** Dials nobody yet. */
  constructor(library: Library, address: LdapAddress) {
    const { host, port, transport } = address;
    // The url only says which of the two is asked for a socket, the first time; a second time there is none.
    this.#client = new library.Client({
      url: transport === "ldaps" ? "ldaps://directory" : "ldap://directory",
      createConnection: () => this.#own(() => dial({ host, port })),
      ...(transport === "ldaps" ? { createSecureConnection: () => this.#own(() => dialTls({ ...tlsOptions(address), port })) } : {}),
    });
  }

  get isOpen(): boolean {
    return this.#socket !== undefined && !this.#isClosed;
  }

  /** Rejects with a `ResultCodeError` of the library when the directory offers none. */
  startTls(address: LdapAddress): Promise<void> {
    return this.#client.startTLS(tlsOptions(address));
  }

  /** Rejects with a `ResultCodeError` of the library when the directory says no, with another Error when it says nothing. */
  async bind(dn: string, password: string): Promise<void> {
    await this.#client.bind(dn, password);
  }

  /** Referrals are not followed. Rejects as `bind`. */
  async search(baseDn: string, options: SearchOptions): Promise<readonly Entry[]> {
    const { searchEntries } = await this.#client.search(baseDn, options);
    return searchEntries;
  }

  /** Whatever is under way rejects. */
  destroy(): void {
    this.#isClosed = true;
    this.#socket?.destroy();
  }

  #own<S extends Socket>(create: () => S): S {
    if (this.#socket || this.#isClosed) throw new Error("the connection was closed");
    const socket = create();
    this.#socket = socket;
    socket.once("close", () => (this.#isClosed = true));
    return socket;
  }
}

function tlsOptions({ host, authority, skipVerify }: LdapAddress): ConnectionOptions {
  return {
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(authority === undefined ? {} : { ca: authority }),
    rejectUnauthorized: !skipVerify,
    minVersion: "TLSv1.2",
  };
}
