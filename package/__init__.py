"""Edit one attribute of a face and nothing else:
`aif.runtime` edits, `aif.train` trains, `aif.export` packs."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        from aif.runtime import __version__

        return str(__version__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
