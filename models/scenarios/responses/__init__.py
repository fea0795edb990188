"""The scenarios of models that write: all start from one small Llama, pretrained on the shop's dialogues."""
