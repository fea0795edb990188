// The host in Node: `node node.mjs PACKAGES`, one JSON command a line on stdin, one JSON answer a line on stdout. It ends
// with stdin. The first command has the paths of its files.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { createEngine } from "./engine.mjs";

const packages = process.argv[2];
console.log = console.info = console.debug = console.warn = console.error; // stdout is the protocol's
const files = {};

const find = (...parts) => pathToFileURL(join(packages, "node_modules", ...parts)).href;
const obey = createEngine({
  async load() {
    const [ort, { Tokenizer }] = await Promise.all([
      import(find("onnxruntime-web", "dist", "ort.node.min.mjs")),
      import(find("@huggingface", "tokenizers", "dist", "tokenizers.min.mjs")),
    ]);
    return { ort, Tokenizer };
  },
  read: (name) => readFile(files[name]),
});

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { files: given, ...command } = JSON.parse(line);
  Object.assign(files, given);
  process.stdout.write(`${JSON.stringify(await obey(command))}\n`);
}
process.exit(0); // the runtime's threads would keep it alive
