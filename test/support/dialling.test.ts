/** The proof that nobody is dialled has to fail when somebody is: here a program dials, in every way that it may. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startCanary } from "./canary.ts";
import { dialledIn, traceDialling } from "./dialling.ts";
import { runProcess } from "./processes.ts";
import { requirePrograms, requireRoot } from "./programs.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const canTrace = requirePrograms("strace") && requireRoot();
const socketOf = (call: string): string => `${call}.on("error", () => {}).unref()`;

/** What is dialled, by which program, and what of it the trace's line says. `PORT`: the canary's. */
const ways: readonly (readonly [string, string, string])[] = [
  ["a connection", socketOf(`net.connect(PORT, "127.0.0.1")`), "sin_port=htons(PORT)"],
  ["a connection that nobody accepts", socketOf(`net.connect(1, "127.0.0.1")`), "sin_port=htons(1)"],
  ["a connection by IPv6", socketOf(`net.connect(1, "::1")`), "sin6_port=htons(1)"],
  [
    "a thread's connection",
    `new threads.Worker(${JSON.stringify(`import("node:net").then(({ connect }) => connect(PORT, "127.0.0.1").unref())`)}, { eval: true })`,
    "sin_port=htons(PORT)",
  ],
  ["a child's connection", `child.spawnSync(process.execPath, ["-e", 'net.connect(PORT, "127.0.0.1").unref()'])`, "sin_port=htons(PORT)"],
  ["a datagram", `const socket = dgram.createSocket("udp4"); socket.send("x", PORT, "127.0.0.1", () => socket.close())`, "sin_port=htons(PORT)"],
  [
    "a question to a name server",
    `const dns = new names.Resolver({ tries: 1 }); dns.setServers(["127.0.0.1:PORT"]); dns.resolve4("a.test", () => {}); dns.cancel()`,
    "sin_port=htons(PORT)",
  ],
  ["somebody else's socket", socketOf(`net.connect("FOLDER/theirs.sock")`), "/theirs.sock"],
];

test.runIf(canTrace).each(ways)("%s is seen, and nothing else", async (_, program, expected) => {
  await using folder = await temporaryFolder();
  await using canary = await startCanary();
  const filled = (text: string): string => text.replaceAll("PORT", String(canary.port)).replaceAll("FOLDER", folder.path);
  const { code, stderr, dialled } = await run(folder.path, filled(program));
  expect([code, stderr]).toEqual([0, ""]);
  expect(dialled).not.toEqual([]);
  expect(dialled.filter((line) => !line.includes(filled(expected)))).toEqual([]);
});

test.runIf(canTrace)("a program that reaches nobody but its own socket has dialled nobody", async () => {
  await using folder = await temporaryFolder();
  const program = `net.createServer((socket) => process.exit(0)).listen("FOLDER/own-1.sock", () => net.connect("FOLDER/own-1.sock"))`;
  expect(await run(folder.path, program.replaceAll("FOLDER", folder.path))).toEqual({ code: 0, stderr: "", dialled: [] });
});

async function run(folder: string, program: string): Promise<{ code: number | null; stderr: string; dialled: readonly string[] }> {
  const file = `${folder}/trace`;
  const modules = { net: "net", dgram: "dgram", names: "dns", threads: "worker_threads", child: "child_process" };
  const imports = Object.entries(modules).map(([name, module]) => `import ${name} from "node:${module}";`);
  const command = [process.execPath, "--input-type=module", "--eval", `${imports.join("")}${program}`];
  const { code, stderr } = await runProcess("strace", [...traceDialling(file), ...command]);
  return { code, stderr, dialled: dialledIn(await readFile(file, "utf8"), { ownPath: `${folder}/own-` }) };
}
