// How many bytes a file has as brotli sends it: `node weigh.mjs QUALITY FILE` to a number on stdout.
import { readFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const [quality, file] = process.argv.slice(2);
const params = { [constants.BROTLI_PARAM_QUALITY]: Number(quality) };
console.log(brotliCompressSync(readFileSync(file), { params }).length);
