/** Commands that look at everything, on some hundred manifests; `make prove holdings` has a hundred thousand, and the times. */
import { expect, test } from "vitest";
import { runListed } from "./many-listed.ts";

test("all of them are verified, and each of a list is looked for, while a server answers", async () => {
  const commands = ["verify", "verify --images LIST --platform all"];
  const { commands: ran } = await runListed({ manifests: 600, inOneRepository: 300, commands, calmMs: 200, perSecond: 50 });
  // Of the planted images one blob is there, of the first: whoever is asked for all 270 of the list names three for each other one, and two of what refers to thirty.
  expect(ran.map(({ code, lines }) => ({ code, lines }))).toEqual([
    { code: 0, lines: 4 },
    { code: 1, lines: 1_140 },
  ]);
}, 120_000);

test("every image of a large repository and of many small ones is listed, in any order, while a server answers", async () => {
  const commands = ["list", "list --sort used", "list --json"];
  const { commands: ran } = await runListed({ manifests: 600, inOneRepository: 300, commands, calmMs: 200, perSecond: 50 });
  // Every tenth of the planted manifests refers to another, and belongs to its image.
  expect(ran.map(({ command, code, lines }) => ({ command, code, lines }))).toEqual(commands.map((command) => ({ command, code: 0, lines: 540 })));
}, 120_000);
