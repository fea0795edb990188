"""What was found, for people: Markdown and a page."""
