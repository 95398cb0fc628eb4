"""VLLM in this process."""
