"""Carrying out a plan: texts to work with, execution, parity, the artifact that comes out."""
