"""llama.cpp for GGUF files: each model in a process of its own that listens on a private socket."""
