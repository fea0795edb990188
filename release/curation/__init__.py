"""Data before anything is taught or judged by it: checked, cleaned, made."""
