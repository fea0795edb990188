"""OpenVINO, imported so that it tells its makers nothing. Whoever needs OpenVINO imports `ov` from here.

OpenVINO, its converter and NNCF report their use over the network through the package openvino_telemetry, which each of
them looks for while it is being imported, and falls back to a stub without. So it is made unimportable first.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402  (after telemetry is off)

__all__ = ["ov"]
