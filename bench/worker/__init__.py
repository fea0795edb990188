"""The measured process, and what runs inside it. No numpy at its top."""
