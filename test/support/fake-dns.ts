/** FakeDns: a name server on an address of this machine's own, for names that tests make up. Port 53, which takes root. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { randomInt } from "node:crypto";

/** What becomes of a question: this address, "no such name", "I am broken", or nothing at all. */
export type NameAnswer = { readonly address: string } | "unknown" | "failing" | "silent";

const responseCodes = { found: 0, failing: 2, unknown: 3 } as const;
const headerBytes = 12;
const typeA = 1;

export class FakeDns implements AsyncDisposable {
  /** Where it listens: `127.81.2.3`. */
  readonly address: string;
  readonly #socket: Socket;
  readonly #answers = new Map<string, NameAnswer>();

  constructor(address: string, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    socket.on("message", (question, from) => this.#answer(question, from));
  }

  /** From now on `name` is answered so. Names nobody told of are unknown. */
  tell(name: string, answer: NameAnswer): void {
    this.#answers.set(name, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(question: Buffer, { port, address }: RemoteInfo): void {
    const { name, type, endBytes } = parseQuestion(question);
    const answer = this.#answers.get(name) ?? "unknown";
    if (answer !== "silent") this.#socket.send(reply(question.subarray(0, endBytes), type, answer), port, address);
  }
}

/** Starts one on an address of 127/8 that is its own. */
export async function startFakeDns(): Promise<FakeDns> {
  const address = `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`;
  const socket = createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, address, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  return new FakeDns(address, socket);
}

/** The first question of a message, RFC 1035 4.1. */
function parseQuestion(message: Buffer): { readonly name: string; readonly type: number; readonly endBytes: number } {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), endBytes: at + 5 };
}

function reply(question: Buffer, type: number, answer: Exclude<NameAnswer, "silent">): Buffer {
  const code = typeof answer === "string" ? responseCodes[answer] : responseCodes.found;
  const header = Buffer.from(question.subarray(0, headerBytes));
  const hasAddress = typeof answer === "object" && type === typeA;
  header.writeUInt16BE(0x8180 | code, 2); // An answer, recursion available.
  header.writeUInt16BE(hasAddress ? 1 : 0, 6);
  header.fill(0, 8); // Nothing beside it.
  const record = hasAddress ? [Buffer.from([0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4]), Buffer.from(answer.address.split(".").map(Number))] : [];
  return Buffer.concat([header, question.subarray(headerBytes), ...record]);
}
