"""What can be made of what, as the tables of passes and families have it (the README's are these), for which target."""

from dataclasses import replace

from mct import MctError
from mct.compress.plan.plan import Plan, supported
from mct.models.families.table import Family, families
from mct.models.tasks.table import tasks
from mct.targets.runtimes.table import is_on, runtime_for
from mct.targets.target import Target

FORMATS = {"onnx": "ONNX", "openvino": "OpenVINO", "gguf": "GGUF"}


def support_markdown() -> str:
    """One row a task kind, one column a format: the precisions that a chain of passes reaches."""
    lines = ["| task | " + " | ".join(FORMATS.values()) + " |", "|--|" + "--|" * len(FORMATS)]
    for task in (each for each in tasks() if not each.said_by_rows):
        found = supported(task.name)
        cells = [", ".join(found.get(format_name, ())) or "-" for format_name in FORMATS]
        lines.append(f"| {task.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def families_markdown() -> str:
    """One row a family: by which graph each format computes it, or why it does not."""
    lines = ["| `model_type` | ONNX | OpenVINO | GGUF |", "|--|--|--|--|"]
    lines += [f"| {family.model_type} | {' | '.join(_graphs(family))} |" for family in families()]
    return "\n".join(lines) + "\n"


def _graphs(family: Family) -> tuple[str, str, str]:
    """An encoder that has no graph of ours is traced; OpenVINO's of encoders are made of ONNX."""
    onnx, gguf = family.graphs.get("onnx"), family.graphs.get("gguf")
    openvino = ", ".join(family.graphs.get("openvino", "").split()) if family.decoder else "yes"
    reason = family.refused.get("gguf", "" if gguf else "not known")
    if gguf and reason:
        gguf = f"{gguf}; not where {reason}"
    return "fused" if onnx else "traced", openvino, gguf or f"no: {reason}"


def routes_on(plan: Plan, target: Target, named: bool) -> Plan:
    """The plan without what the target has no runtime for. MctError where that was asked for by name, or is all."""
    barred = [route for route in plan.routes if not is_on(runtime_for(route.format), target)]
    kept = tuple(route for route in plan.routes if route not in barred)
    if barred and (named or not kept):
        runtime = runtime_for(barred[0].format).name
        raise MctError(
            f"target {target.name} has no {runtime}, which runs {barred[0].format}",
            f"it has {', '.join(target.runtimes)}: ask for what these run, with --format",
        )
    return replace(plan, routes=kept)
