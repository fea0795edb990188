"""The product's table, the generators of its data, a recipe for each checkpoint."""
