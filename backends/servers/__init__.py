"""OpenAI-compatible and vLLM servers over HTTP."""
