"""What this machine can do, told to another one: `python -m mct.targets.elsewhere.probed`. Needs Python alone."""

import json

from mct.targets.machine import probe_machine
from mct.targets.probe import probe
from mct.targets.runtimes.table import runtime_states

if __name__ == "__main__":
    found = probe(runtime_states(probe_machine()))
    print(json.dumps({"text": found.describe(), "values": found.as_json()}))
