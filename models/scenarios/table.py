"""The MangaAssist scenarios: technique, task, what compression must not lose, and how the checkpoint is built."""

from dataclasses import dataclass

from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.tables import unknown


@dataclass(frozen=True)
class Scenario:
    """One row of the product's scenario table.

    `build` names the function that makes its checkpoint ("" where there is none yet), in one of `sizes`, and where it
    can be made by more than one technique in one of `variants`, the first unless told; `extra` is the pip extra with
    the libraries that it takes.
    """

    number: str
    name: str
    technique: str
    task: str
    must_keep: str
    high_risk: tuple[str, ...] = ()
    build: str = ""
    sizes: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    extra: str = "compress"


SIZES = ("tiny", "small", "full")

SCENARIOS = (
    Scenario(
        "01",
        "intent-router",
        "full fine-tuning",
        "sequence-classification",
        "recall of each high-risk intent",
        high_risk=HIGH_RISK_INTENTS,
        build="mct.models.scenarios.classifiers.router:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario(
        "02",
        "embedding-adapter",
        "contrastive embedding fine-tuning",
        "sentence-embedding",
        "recall@k, nDCG@10, neighbour overlap",
        build="mct.models.scenarios.search.embedding_adapter:build",
        sizes=SIZES,
        variants=("lora", "full"),
        extra="train",
    ),
    Scenario(
        "03",
        "reranker",
        "cross-encoder on clicks and grades",
        "pair-scoring",
        "nDCG@10, order of the top 10",
        build="mct.models.scenarios.search.reranker:build",
        sizes=SIZES,
        extra="train",
    ),
    Scenario(
        "04",
        "response-lora",
        "LoRA and QLoRA",
        "causal-lm",
        "parity with the adapter on its own base; perplexity, KL",
        build="mct.models.scenarios.responses.lora:build",
        sizes=SIZES,
        variants=("lora", "qlora"),
    ),
    Scenario(
        "05",
        "distilled-router",
        "knowledge distillation",
        "any",
        "gain over the same student trained without a teacher",
        high_risk=HIGH_RISK_INTENTS,
        build="mct.models.scenarios.classifiers.distilled:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario(
        "05",
        "distilled-response",
        "knowledge distillation",
        "causal-lm",
        "gain over the same student trained without a teacher",
        build="mct.models.scenarios.responses.distilled:build",
        sizes=SIZES,
    ),
    Scenario(
        "06",
        "continual-router",
        "monthly continual updates",
        "sequence-classification",
        "forgetting per month slice",
        high_risk=HIGH_RISK_INTENTS,
        build="mct.models.scenarios.classifiers.continual:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario(
        "07",
        "fewshot-intents",
        "SetFit-style few-shot",
        "embedding-head",
        "recall of the newest, rarest labels",
        build="mct.models.scenarios.search.fewshot_intents:build",
        sizes=SIZES,
        extra="train",
    ),
    Scenario(
        "08",
        "sentiment",
        "full fine-tuning",
        "sequence-classification",
        "recall of frustrated at a fixed false-alarm rate",
        build="mct.models.scenarios.classifiers.sentiment:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario("09", "mlops", "repeatable pipeline, release gates", "-", "same recipe and seed, same bytes"),
    Scenario(
        "10",
        "response-dpo",
        "DPO / RLHF preference tuning",
        "causal-lm",
        "preference accuracy, reward margin",
        build="mct.models.scenarios.responses.dpo:build",
        sizes=SIZES,
        variants=("lora", "full", "reward"),
    ),
    Scenario(
        "11",
        "prompt-style",
        "prompt, prefix and P-tuning",
        "causal-lm",
        "exact parity of baked-in virtual tokens",
        build="mct.models.scenarios.responses.prompts:build",
        sizes=SIZES,
        variants=("prompt-tuning", "p-tuning", "prefix-tuning"),
    ),
    Scenario(
        "12",
        "qat",
        "quantization-aware training",
        "sequence-classification",
        "share of the PTQ gap recovered",
        build="mct.models.scenarios.classifiers.qat:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario(
        "13",
        "multi-task",
        "shared backbone, several heads",
        "multi-head",
        "each head's own metric and budget",
        build="mct.models.scenarios.classifiers.multi_task:build",
        sizes=("tiny", "small", "full"),
    ),
    Scenario(
        "14",
        "raft",
        "retrieval-augmented fine-tuning",
        "causal-lm",
        "groundedness and answer F1 with distractors",
        build="mct.models.scenarios.responses.raft:build",
        sizes=SIZES,
    ),
    Scenario(
        "15",
        "moe",
        "experts by genre, task, workflow",
        "causal-lm",
        "routing agreement, expert load balance",
        build="mct.models.scenarios.responses.moe:build",
        sizes=SIZES,
    ),
    Scenario(
        "16",
        "data-curation",
        "labels, synthetic data, label noise",
        "-",
        "no leakage, noise estimated, provenance kept",
    ),
    Scenario("17", "interpretability", "inspection before promotion", "-", "attribution drift, per-layer sensitivity"),
    Scenario("18", "capstone", "decision playbook", "-", "a written promote / hold / roll back with its evidence"),
    Scenario("00", "execution-map", "order of all the others", "-", "a plan that can be read before anything runs"),
)


def find_scenario(name: str) -> Scenario:
    """The row of that name; MctError with the nearest names otherwise."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise unknown("scenario", name, (scenario.name for scenario in SCENARIOS))
