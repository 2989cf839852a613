"""Compiles the operators of pipeline/native. Where that fails, installation goes on and the service does without."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "pipeline.native._ops",  # loaded by ONNX Runtime, never imported
            sources=["pipeline/native/ops.cc"],
            depends=glob("pipeline/native/*.h"),
            language="c++",
            # GCC's intrinsics start from undefined registers, which it then warns of; -psabi is of GCC's other ABIs.
            extra_compile_args=[
                *("-std=c++17", "-O3", "-g0", "-fvisibility=hidden"),
                *("-Wno-uninitialized", "-Wno-maybe-uninitialized", "-Wno-psabi"),
            ],
            optional=True,
        )
    ]
)
