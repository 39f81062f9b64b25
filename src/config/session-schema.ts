/** The vocabulary of browser sessions: where they are kept, and by which keys. */
import { z } from "zod";
import { choice, text } from "./scalars.ts";

export const sessionDriver = z.strictObject({
  name: choice(["local", "redis"]).prefault("local").describe("local: files in statePath; redis: for servers that share no disk."),
  url: text.optional().describe("redis: its address, such as redis://user:password@redis.example.com:6379/0, or rediss:// for TLS."),
  keyprefix: text.prefault("zotsession").describe("redis: what every key begins with."),
});
