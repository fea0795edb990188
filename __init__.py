"""mct: from any fine-tuned checkpoint to the fastest artifact that provably meets its budget.

Rooms, in import order: models -> targets -> compress -> bench -> cli. A room imports only itself and those to its left.
This file holds what all of them share: the version, and the one exception a user is meant to read.
"""

import os

__version__ = "0.1.0"

__all__ = ["MctError", "__version__"]


# ONNX Runtime's own packages and MLflow's client send usage events, from their import on, unless this says otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


class MctError(Exception):
    """Something the user can mend: one line saying what is wrong, and a hint saying what to do.

    The command line prints both and exits with code 2. Anything else that is raised is a bug and keeps its traceback.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
