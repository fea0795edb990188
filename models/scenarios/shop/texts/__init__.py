"""What the generators put together: words, phrases and pages, one file a subject. Plain data."""
