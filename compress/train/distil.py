"""Distillation: a checkpoint learns what the one that the user brought answers, to their texts and to made-up ones.

The answers are taken whole, softened by a temperature (Hinton, Vinyals and Dean 2015, arXiv:1503.02531), and labels
count a little where rows have them; rows without are as good. A part of the texts is held out by the step itself, to
keep the best of what it comes by. Steps may follow each other: each goes on from what the last left, with texts of its
own, which hang on how many came before and not on the student, so that the students of a search share the answers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import write_model
from mct.compress.train import distil_outputs
from mct.compress.train.curriculum import Wanted, gather_lessons
from mct.compress.train.objectives import OBJECTIVES
from mct.compress.train.rounds import read_rounds, write_rounds
from mct.compress.train.teach import Teaching, teach
from mct.models.checkpoints.load import load_module


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint as it is after learning. MctError where there is nothing that it could learn.

    What is inside the teacher is no answer that could be kept: with `match` it is asked for every batch.
    """
    if options["match"]:
        return distil_outputs.run(source, draft, options, resources)
    threads = options["threads"] or resources.machine.usable_threads
    torch.set_num_threads(threads)
    rounds = read_rounds(source.folder)
    lessons, dev = gather_lessons(resources, Wanted(options["augment"], options["hard"], threads, rounds))
    module = load_module(resources.checkpoint)
    assert isinstance(module.model, PreTrainedModel)
    teaching = Teaching(
        options["epochs"], options["learning_rate"], options["temperature"], options["hard"], resources.seed + rounds
    )
    found = teach(module, lessons, dev, OBJECTIVES[resources.checkpoint.network], teaching)
    write_rounds(draft, rounds + 1)
    write_model(module.model, source.folder, draft)
    return Product(draft, "", notes={"texts": len(lessons.inputs), "rounds": rounds + 1, **found})
