"""Where and how a worker is started: here, on another machine, in Node or a browser."""
