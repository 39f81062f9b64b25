/** What the system holds of a TCP connection between two processes of this machine: sent by the one, not yet read by the other. */
import { readFileSync } from "node:fs";

/** Both directions together. Synchronous: nothing of ours happens between the look and what follows. Linux, IPv4. */
export function bytesInBuffers(port: number, peerPort: number): number {
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map(
      (line) =>
        /^ *\d+: \w+:(\w{4}) \w+:(\w{4}) \w+ (\w+):(\w+) /
          .exec(line)
          ?.slice(1)
          .map((hex) => Number.parseInt(hex, 16)) ?? [],
    )
    .filter(([local, remote]) => (local === port && remote === peerPort) || (local === peerPort && remote === port))
    .reduce((sum, [, , sending = 0, received = 0]) => sum + sending + received, 0);
}
