"""The contract of all backends: a test suite that runs on backends of other packages too.

    pytest --pyargs quillgraph.backends.contract -p quillgraph.backends.contract.plugin \
        --backend KIND:MODEL

A mark on a test lists the traits that it needs (`plugin.TRAITS`); it runs on the backends that have
them. Only a run of the suite needs pytest and pytest-asyncio.
"""
