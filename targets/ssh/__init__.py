"""Another machine over ssh: its address, the connection, what is copied there and what clears it away again."""
