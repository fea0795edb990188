"""From a model to a decision: data, inspection, release, the playbook, the map. What decides about what was measured."""
