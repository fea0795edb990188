"""The store of releases: candidate, shadow, canary, production, retired; gates, rollback, re-making."""
