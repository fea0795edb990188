"""What it must run on: machines, targets, budgets and the runtimes that execute a model."""
