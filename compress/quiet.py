"""Other people's libraries, kept from talking: to the user's terminal, and over the network to their makers."""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings, log lines and printed progress of what runs inside; errors still raise."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def forbid_telemetry() -> None:
    """Make `openvino_telemetry` unimportable from here on: OpenVINO's tools and NNCF then send nothing.

    Both send by default and fall back to a stub where the package is absent, as it is for them after this.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
