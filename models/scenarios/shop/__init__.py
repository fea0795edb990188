"""What is said in the shop: generators of its data, each dealt to splits before anything is written."""
