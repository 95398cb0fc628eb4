"""What every backend keeps to: one suite, which runs on backends of other packages too.

    pytest --pyargs quillgraph.backends.contract -p quillgraph.backends.contract.plugin \
        --backend KIND:MODEL

A test says by a mark which traits it needs (`plugin.TRAITS`), and runs on the backends that have
them. Pytest and pytest-asyncio are needed by whoever runs the suite, and by nobody else.
"""
