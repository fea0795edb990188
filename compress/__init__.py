"""From checkpoint to artifact: the plan, its passes, the parity check, the folder that comes out."""
