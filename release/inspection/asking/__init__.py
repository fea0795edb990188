"""How an opened model is asked, what it decides, and what of that is explained."""
