"""Tables, pages, plots, the pull request's comment."""
