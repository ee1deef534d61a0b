"""The worker: what is to be done without anybody asking."""
