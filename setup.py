"""The packages: folders at the top of the repository; `package` is `aif` itself, the others lie in it."""

from setuptools import find_packages, setup

TOPS = ("cli", "export", "runtime", "train")

setup(
    packages=[
        "aif",
        *(f"aif.{name}" for top in TOPS for name in (top, *(f"{top}.{sub}" for sub in find_packages(top)))),
    ],
    package_dir={"aif": "package", **{f"aif.{top}": top for top in TOPS}},
    package_data={
        "aif.cli": ["py.typed"],
        "aif.export": ["py.typed"],
        "aif.runtime": ["py.typed"],
        "aif.runtime.bundle": ["*.aif"],
        "aif.runtime.serve.page": ["icon.svg", "page.css"],
        "aif.train": ["py.typed"],
    },
    include_package_data=False,
)
