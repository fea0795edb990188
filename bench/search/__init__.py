"""The search for the fastest artifact that meets a budget: candidates, what they cost, the front, the winner."""
