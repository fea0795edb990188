"""What can be made of what, as the table of passes has it: the README's support table is this, printed."""

from mct.compress.plan.plan import supported
from mct.models.tasks.table import tasks

FORMATS = {"onnx": "ONNX", "openvino": "OpenVINO", "gguf": "GGUF"}


def support_markdown() -> str:
    """One row a task kind, one column a format: the precisions that a chain of passes reaches."""
    lines = ["| task | " + " | ".join(FORMATS.values()) + " |", "|--|" + "--|" * len(FORMATS)]
    for task in tasks():
        found = supported(task.name)
        cells = [", ".join(found.get(format_name, ())) or "-" for format_name in FORMATS]
        lines.append(f"| {task.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
