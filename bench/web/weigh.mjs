// How many bytes files have as brotli sends them: `node weigh.mjs QUALITY FILE...` to a list of numbers on stdout.
import { readFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const [quality, ...files] = process.argv.slice(2);
const params = { [constants.BROTLI_PARAM_QUALITY]: Number(quality) };
console.log(JSON.stringify(files.map((file) => brotliCompressSync(readFileSync(file), { params }).length)));
