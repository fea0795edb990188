"""What another machine is asked, and what it runs to answer."""
