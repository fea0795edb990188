// What a task asks a model and how its outputs are read, as mct's Python does it (mct.models.tasks): a request to the
// inputs of the model, the outputs of these to an answer. A task is {encode(tokenizer, request), decode(outputs, inputs,
// heads), confidence(outputs, heads, label)?, words: whether it asks where words begin}; an output is {data, dims} with a row for each input.

const OUTSIDE = "O";
const SUFFIX = "_logits";

/** The place of the highest of `values[from … from + count)`, the first of equals, from 0. */
function argmax(values, from, count) {
  let best = 0;
  for (let at = 1; at < count; at++) if (values[from + at] > values[from + best]) best = at;
  return best;
}

function finite(value) {
  if (!Number.isFinite(value)) throw new Error("it answers by what is no number (NaN or infinity)");
  return value;
}

/** A score with the digits that 32 bits tell, as in Python. */
const significant = (score) => Number(finite(score).toPrecision(7));

function logOdds(logits, count, place) {
  const others = Array.from(logits.subarray(0, count)).filter((_, at) => at !== place);
  const top = others.length ? Math.max(...others) : 0;
  const mass = others.reduce((sum, logit) => sum + Math.exp(logit - top), 0) || 1;
  return significant(logits[place] - top - Math.log(mass));
}

const width = (output) => output.dims[output.dims.length - 1];
const oneLabel = (output, inputs, head) => head.labels[argmax(output.data, 0, width(output))];
const manyLabels = (output, inputs, head) =>
  head.places.filter((at) => output.data[at] > 0).map((at) => head.labels[at]);

function tags(output, inputs, head) {
  const count = width(output);
  return inputs[0].words.map((at) => (at < 0 ? OUTSIDE : head.labels[argmax(output.data, at * count, count)]));
}

/** A head with the places of its labels in the order of their characters, in which Python sorts them. */
export function ordered(head) {
  const characters = head.labels.map((label) => Array.from(label, (each) => each.codePointAt(0)));
  const before = (left, right) => {
    const at = left.findIndex((each, place) => each !== right[place]);
    return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
  };
  return { ...head, places: [...head.labels.keys()].sort((a, b) => before(characters[a], characters[b])) };
}

const OF_HEAD = { label: oneLabel, labels: manyLabels, tags };
const one = (tokenizer, text) => [tokenizer.one(text)];
const withWords = (tokenizer, text) => [tokenizer.withWords(text)];
const row = (output, at) => output.data.subarray(at * width(output), (at + 1) * width(output));
const dot = (left, right) => left.reduce((sum, value, at) => sum + value * right[at], 0);
const firstOfEach = ({ logits }, inputs) => inputs.map((_, at) => significant(logits.data[at * width(logits)]));

function cosines({ sentence_embedding: vectors }, inputs) {
  if (inputs.length === 1) return Array.from(row(vectors, 0), finite);
  const [query, ...docs] = inputs.map((_, at) => {
    const vector = row(vectors, at);
    const length = Math.sqrt(dot(vector, vector)) || 1;
    return vector.map((value) => value / length);
  });
  return docs.map((doc) => significant(dot(doc, query)));
}

function confidenceOfLabel({ logits }, heads, label) {
  return logOdds(logits.data, width(logits), heads[0].labels.indexOf(label));
}

const SINGLE = {
  encode: one,
  decode: ({ logits }, inputs, heads) => oneLabel(logits, inputs, heads[0]),
  confidence: confidenceOfLabel,
};

export const TASKS = {
  "sequence-classification": SINGLE,
  "embedding-head": SINGLE,
  "multi-label-classification": {
    encode: one,
    decode: ({ logits }, inputs, heads) => manyLabels(logits, inputs, heads[0]),
    confidence: ({ logits }, heads, label) => significant(logits.data[heads[0].labels.indexOf(label)]),
  },
  "token-classification": {
    words: true,
    encode: withWords,
    decode: ({ logits }, inputs, heads) => tags(logits, inputs, heads[0]),
  },
  "multi-head": {
    words: true,
    encode: withWords,
    decode: (outputs, inputs, heads) =>
      Object.fromEntries(heads.map((head) => [head.name, OF_HEAD[head.kind](outputs[head.name + SUFFIX], inputs, head)])),
    confidence(outputs, heads, label) {
      const head = heads.find(({ kind, labels }) => kind === "label" && labels.includes(label));
      return confidenceOfLabel({ logits: outputs[head.name + SUFFIX] }, [head], label);
    },
  },
  "sentence-embedding": {
    encode: (tokenizer, request) =>
      (typeof request === "string" ? [request] : [request.query, ...request.docs]).map(tokenizer.one),
    decode: cosines,
  },
  "pair-scoring": {
    encode: (tokenizer, { query, docs }) => docs.map((doc) => tokenizer.pair(query, doc)),
    decode: firstOfEach,
  },
  reward: {
    encode: (tokenizer, { prompt, answers }) => answers.map((answer) => tokenizer.one(prompt + answer)),
    decode: firstOfEach,
  },
};
