"""From a model to a decision: data, inspection, release, the playbook, the map; what decides about what was measured."""
