"""The written decision: promote, hold or roll back, by five criteria, each with its evidence or named as missing."""
