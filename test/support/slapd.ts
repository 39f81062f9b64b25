/** Slapd: a directory of our own, on free ports of 127.0.0.1, in its own folder, with people and groups in it. Its log is its record. */
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import type { IssuedCertificate } from "./certificates.ts";
import { findProgram } from "./programs.ts";
import { lookUntil } from "./looking.ts";
import { freePort, runProcess, startProcess, type RunningProcess } from "./processes.ts";

export const directoryBase = "dc=example,dc=org";
export const searcher = { dn: `cn=searcher,${directoryBase}`, password: "searcher-secret" } as const;

const listeningMs = 10_000;

export interface SlapdOptions {
  /** It offers TLS, and StartTLS. */
  readonly tls?: IssuedCertificate;
  /** Nobody may search without a name. */
  readonly refusesStrangers?: boolean;
}

export class Slapd implements AsyncDisposable {
  readonly port: number;
  /** 0: it has no TLS. */
  readonly tlsPort: number;
  readonly #process: RunningProcess;
  #told = 0;

  constructor(process: RunningProcess, port: number, tlsPort: number) {
    this.#process = process;
    this.port = port;
    this.tlsPort = tlsPort;
  }

  /** What it was asked since the last call, as its log says: `SRCH ... filter="(uid=alice)"`, `BIND dn="..." method=128`. */
  async asked(): Promise<readonly string[]> {
    // What it writes comes by another way than what it answers, but in order: who comes now is told of after all that was.
    await using visit = await visitPort(this.port);
    await this.#process.waitForOutput(new RegExp(`ACCEPT from IP=127\\.0\\.0\\.1:${visit.localPort} `));
    const lines = this.#process.output.split("\n").slice(this.#told);
    this.#told += lines.length - 1;
    return lines.flatMap((line) => /op=\d+ ((?:SRCH base|BIND dn|EXT oid).*)/.exec(line)?.[1] ?? []).filter((line) => !line.includes("mech="));
  }

  async add(ldif: string): Promise<void> {
    const { code, stderr } = await runProcess("sh", ["-c", `printf '%s' "$LDIF" | ldapmodify -a -x -H "$URL" -D "$DN" -w "$PASSWORD"`], {
      env: { LDIF: ldif, URL: `ldap://127.0.0.1:${this.port}`, DN: `cn=admin,${directoryBase}`, PASSWORD: "admin-secret" },
    });
    if (code !== 0) throw new Error(`ldapmodify: ${stderr}`);
    await this.asked();
  }

  /** It keeps its connections and answers nothing, until it is to go on. */
  freeze(): void {
    this.#process.signal("SIGSTOP");
  }

  goOn(): void {
    this.#process.signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill("SIGKILL");
  }
}

/** Starts one in `folder`. Dispose of it. Needs slapd and ldap-utils. */
export async function startSlapd(folder: string, { tls, refusesStrangers = false }: SlapdOptions = {}): Promise<Slapd> {
  const port = await freePort();
  const tlsPort = tls ? await freePort() : 0;
  const data = join(folder, `data-${port}`);
  await mkdir(data, { recursive: true });
  const file = join(folder, `slapd-${port}.conf`);
  await writeFile(file, configuration(data, tls, refusesStrangers), { mode: 0o600 });
  const urls = [`ldap://127.0.0.1:${port}`, ...(tls ? [`ldaps://127.0.0.1:${tlsPort}`] : [])];
  const slapd = new Slapd(
    await startProcess({
      command: findProgram("slapd") ?? "slapd",
      args: ["-f", file, "-h", urls.join(" "), "-d", "stats"],
      ready: { output: /slapd starting/ },
    }),
    port,
    tlsPort,
  );
  // It says so before it listens.
  const isListening = await lookUntil(() => isAnswered(port), Boolean, { waitMs: listeningMs });
  if (!isListening) throw new Error(`slapd does not listen on port ${port}`);
  await slapd.add(people);
  return slapd;
}

async function isAnswered(port: number): Promise<boolean> {
  try {
    await using _ = await visitPort(port);
    return true;
  } catch {
    return false; // Refused, so far.
  }
}

async function visitPort(port: number): Promise<AsyncDisposable & { readonly localPort: number }> {
  const socket = connect({ host: "127.0.0.1", port });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return {
    localPort: socket.localPort ?? 0,
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

function configuration(data: string, tls: IssuedCertificate | undefined, refusesStrangers: boolean): string {
  const security = tls ? `TLSCertificateFile ${tls.certificateFile}\nTLSCertificateKeyFile ${tls.keyFile}\n` : "";
  return `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile ${data}/pid
${security}${refusesStrangers ? "disallow bind_anon\nrequire authc\n" : ""}
database mdb
suffix "${directoryBase}"
rootdn "cn=admin,${directoryBase}"
rootpw admin-secret
directory ${data}
maxsize 16777216
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by ${refusesStrangers ? "users" : "*"} read
`;
}

const people = `dn: ${directoryBase}
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: ${searcher.dn}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: ${searcher.password}

dn: ou=people,${directoryBase}
objectClass: organizationalUnit
ou: people

dn: ou=far,ou=people,${directoryBase}
objectClass: organizationalUnit
ou: far

dn: uid=alice,ou=people,${directoryBase}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
title: shift lead
userPassword: alice-secret

dn: uid=bob,ou=far,ou=people,${directoryBase}
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: bob-secret

dn: cn=one of two,ou=people,${directoryBase}
objectClass: inetOrgPerson
uid: twin
cn: one of two
sn: T
userPassword: twin-secret

dn: cn=other of two,ou=people,${directoryBase}
objectClass: inetOrgPerson
uid: twin
cn: other of two
sn: T
userPassword: twin-secret

dn: cn=dev,${directoryBase}
objectClass: groupOfNames
cn: dev
member: uid=alice,ou=people,${directoryBase}

dn: cn=a\\, b,${directoryBase}
objectClass: groupOfNames
cn: a, b
member: uid=alice,ou=people,${directoryBase}
`;
