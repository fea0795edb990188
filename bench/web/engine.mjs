// The measured part: one ONNX artifact in onnxruntime-web, the same in Node and in a page. It is told what to do in plain
// values, and answers in such; mct.bench.web.worker says which. A host (node.mjs, page.mjs) gives it
//   load()      {ort, Tokenizer}: the two packages, imported
//   read(name)  the bytes of one of the files "model", "tokenizer" and "wasm"
// The clock is read as in mct.bench.worker.predict: around a whole request, and around the runtime within it.

import { openTokenizer } from "./tokens.mjs";
import { TASKS, ordered } from "./tasks.mjs";

const NOT_ASKED = "last_hidden_state"; // an output that is no answer
const NS = 1e6; // of a millisecond, in which `performance.now` counts
const LEARNT = 200; // texts, by which a tokenizer learns how to tell where words begin
const SPUN_MS = 5; // the last part of a wait, since timers end late

const now = () => performance.now();

export function createEngine(host) {
  let packages, model;

  const commands = {
    ready: async () => ({ threads: typeof SharedArrayBuffer === "function" }),
    async import() {
      const began = now();
      packages = await host.load();
      return { import_ms: now() - began };
    },
    async open(job) {
      model = await openModel(host, packages, job);
      return { stages_ms: model.stages };
    },
    async first({ row }) {
      const began = now();
      await answer(model, model.requests[row]);
      return { first_call_ms: now() - began };
    },
    time: (command) => timeRequests(model, command),
    serve: (command) => serveTraffic(model, command),
    async answers({ first, last }) {
      const [values, deferred] = [[], []];
      for (const request of model.scored.slice(first, last))
        values.push(await answer(model, request, model.watched, deferred));
      return { values, deferred: deferred.map(Boolean) };
    },
    async tokens({ of, first, last }) {
      const inputs = model[of].slice(first, last).map((request) => model.encode(request));
      return { inputs: inputs.map((each) => each.map(({ ids, typeIds, words }) => [ids, typeIds, words ?? []])) };
    },
    async lengths({ of, first, last }) {
      return { tokens: model[of].slice(first, last).map((request) => countTokens(model.encode(request))) };
    },
  };

  return async ({ do: what, ...command }) => {
    try {
      return await commands[what](command);
    } catch (error) {
      return { error: `${error?.message ?? error}`, stack: `${error?.stack ?? ""}` };
    }
  };
}

async function openModel(host, { ort, Tokenizer }, job) {
  const stages = {};
  const timed = async (stage, work) => {
    const began = now();
    const made = await work();
    stages[stage] = (stages[stage] ?? 0) + now() - began;
    return made;
  };
  const [bytes, text, wasm] = await timed("fetch", () => Promise.all(["model", "tokenizer", "wasm"].map(host.read)));
  const task = TASKS[job.task];
  const requests = job.requests;
  const tokenizer = await timed("tokenizer", () =>
    openTokenizer(Tokenizer, JSON.parse(new TextDecoder().decode(text)), {
      most: job.max_tokens,
      special: job.special,
    }),
  );
  Object.assign(ort.env.wasm, { numThreads: job.threads, wasmBinary: wasm.buffer });
  ort.env.logLevel = "error";
  const began = now();
  const compiled = watchCompiling(stages);
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [job.provider],
    graphOptimizationLevel: "all",
    executionMode: "sequential",
  }).finally(compiled);
  stages.session = now() - began - (stages.wasm ?? 0);
  if (task.words) tokenizer.learnWords(requests.flat().slice(0, LEARNT));
  const heads = job.heads.map(ordered);
  const one = {
    encode: (request) => task.encode(tokenizer, request),
    infer: inferrer(ort, session, job),
    decode: (outputs, inputs) => task.decode(outputs, inputs, heads),
    confidence: (outputs, label) => task.confidence(outputs, heads, label),
  };
  return { stages, requests, scored: job.scored, watched: job.watched, ...(job.batched ? together(one) : one) };
}

/** The same for a list of requests at once, as a model whose request is the list: padded, in one call. */
function together({ encode, infer, decode }) {
  let sizes = [];
  return {
    encode(requests) {
      const encoded = requests.map(encode);
      sizes = encoded.map((inputs) => inputs.length);
      return encoded.flat();
    },
    infer: (inputs) => infer(inputs, true),
    decode(outputs, inputs) {
      let first = 0;
      return sizes.map((size) => {
        const own = Object.entries(outputs).map(([name, output]) => [name, rows(output, first, first + size)]);
        const answer = decode(Object.fromEntries(own), inputs.slice(first, first + size));
        first += size;
        return answer;
      });
    },
  };
}

function rows({ data, dims }, first, last) {
  const size = data.length / dims[0];
  return { data: data.subarray(first * size, last * size), dims: [last - first, ...dims.slice(1)] };
}

/** Count what compiling WebAssembly takes, which the runtime does within the opening of its first session. */
function watchCompiling(stages) {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const began = now();
    const made = await instantiate.apply(WebAssembly, given);
    stages.wasm = (stages.wasm ?? 0) + now() - began;
    return made;
  };
  return () => (WebAssembly.instantiate = instantiate);
}

/** A function from unpadded inputs to named outputs, each {data, dims} with a row an input: a call for each, or one. */
function inferrer(ort, session, job) {
  const wanted = session.outputNames.filter((name) => name !== NOT_ASKED);
  const run = (inputs) => session.run(arrays(ort, session.inputNames, inputs, job.pad_id), wanted);
  return async (inputs, atOnce = false) => {
    if (inputs.length === 1 || atOnce) return run(inputs);
    const parts = [];
    for (const each of inputs) parts.push(await run([each]));
    return Object.fromEntries(wanted.map((name) => [name, stacked(parts.map((part) => part[name]))]));
  };
}

function stacked(parts) {
  const { data, dims } = parts[0];
  const whole = new data.constructor(data.length * parts.length);
  parts.forEach((part, at) => whole.set(part.data, at * data.length));
  return { data: whole, dims: [parts.length, ...dims.slice(1)] };
}

/** The int64 tensors that a graph takes, filled up on the right; names are those of Hugging Face. */
function arrays(ort, names, inputs, padId) {
  const longest = Math.max(...inputs.map(({ ids }) => ids.length));
  const columns = {
    input_ids: ({ ids }, at) => ids[at] ?? padId,
    attention_mask: ({ ids }, at) => (at < ids.length ? 1 : 0),
    token_type_ids: ({ typeIds }, at) => typeIds[at] ?? 0,
  };
  const filled = names.map((name) => {
    const [values, column] = [new BigInt64Array(inputs.length * longest), columns[name]];
    inputs.forEach((input, row) => {
      for (let at = 0; at < longest; at++) values[row * longest + at] = BigInt(column(input, at));
    });
    return [name, new ort.Tensor("int64", values, [inputs.length, longest])];
  });
  return Object.fromEntries(filled);
}

async function answer(model, request, watched = [], deferred = []) {
  const inputs = model.encode(request);
  const outputs = await model.infer(inputs);
  const value = model.decode(outputs, inputs);
  noteDeferred(outputs, deferred);
  if (!watched.length) return value;
  return [value, Object.fromEntries(watched.map((label) => [label, model.confidence(outputs, label)]))];
}

/** Of a cascade: 1 where it asked its second stage of any input, else 0. */
function noteDeferred(outputs, found) {
  if (outputs.deferred) found.push(outputs.deferred.data.some(Boolean) ? 1 : 0);
}

async function timeRequests(model, { rows, cap_ms: cap, pause: [share, counts] }) {
  const { encode, infer, decode, requests } = model;
  const found = { end_to_end_ns: [], model_ns: [], tokens: [], deferred: [] };
  const stop = now() + cap;
  for (const row of rows) {
    const began = now();
    const inputs = encode(requests[row]);
    const entered = now();
    const outputs = await infer(inputs);
    const left = now();
    decode(outputs, inputs);
    let ended = now();
    if (share) ended = waited(began, ended, share, counts);
    found.end_to_end_ns.push(nanoseconds(ended - began));
    found.model_ns.push(nanoseconds(left - entered));
    found.tokens.push(countTokens(inputs));
    noteDeferred(outputs, found.deferred);
    if (ended > stop) break;
  }
  return found;
}

const countTokens = (inputs) => inputs.reduce((sum, { ids }) => sum + ids.length, 0);

/** At least one: a browser's clock has steps of some microseconds. */
const nanoseconds = (ms) => Math.max(1, Math.round(ms * NS));

function waited(began, ended, share, counts) {
  const until = ended + share * (ended - began);
  let moment = now();
  while (moment < until) moment = now();
  return counts ? moment : ended;
}

async function serveTraffic(model, { rows, arrivals_s: arrivals, cap_ms: cap }) {
  const found = { scheduled_ns: [], started_ns: [], ended_ns: [] };
  const origin = now();
  for (const [at, row] of rows.entries()) {
    const due = arrivals[at] * 1e3;
    await until(origin + due);
    const began = now();
    await answer(model, model.requests[row]);
    const done = now();
    found.scheduled_ns.push(Math.round(due * NS));
    found.started_ns.push(Math.round((began - origin) * NS));
    found.ended_ns.push(Math.round((done - origin) * NS));
    if (done - origin > cap) break;
  }
  return found;
}

async function until(moment) {
  const left = moment - now();
  if (left > SPUN_MS) await new Promise((resolve) => setTimeout(resolve, left - SPUN_MS));
  while (now() < moment);
}
