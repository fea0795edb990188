"""From a model to a decision: data, inspection, release, playbook, map: what decides about what was measured."""
