# syntax=docker/dockerfile:1
#
#   docker build -t triad .                                     serving on a CPU
#   docker build -t triad:gpu --build-arg EXTRAS=gpu .          serving on NVIDIA GPUs, CUDA from pip's wheels
#   docker build -t triad:gpu --build-arg BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 .
#                                                               the same, CUDA from the base image
#   docker build -t triad --build-arg EXTRAS=rates,signatures,traces .
#                                                               with what docs/operate.md names
#   docker build -t triad:train --target train .                training
#
# A GPU also needs the NVIDIA container toolkit on the host and `docker run --gpus all`; the image is one and
# the same program: without a GPU it serves on the CPU.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS python
# NVIDIA's images come without Python; Python's own have it. Any Debian or Ubuntu with Python >= 3.11 will do.
# hadolint ignore=DL3008
RUN command -v python3 > /dev/null \
    || (apt-get update \
        && apt-get install --yes --no-install-recommends python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*)


FROM python AS wheel
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY model_training model_training
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/triad \
    && /opt/triad/bin/python -m pip wheel --no-deps --wheel-dir /wheels .


FROM wheel AS serve-environment
ARG EXTRAS=""
# Serving needs neither pip nor setuptools: less to carry, less to attack.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/triad/bin/python -m pip install --constraint constraints.txt \
        "triad-serving[${EXTRAS}] @ file://$(ls /wheels/*.whl)" \
    && /opt/triad/bin/python -m pip uninstall --yes pip setuptools


FROM wheel AS train-environment
# PyPI's torch for Linux brings CUDA (gigabytes). For CPU builds name their index:
# --build-arg PIP_EXTRA_INDEX_URL=<the index of CPU builds that pytorch.org gives>
ARG PIP_EXTRA_INDEX_URL=""
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/triad/bin/python -m pip install --constraint constraints.txt \
        "triad-serving[pretrained] @ file://$(ls /wheels/*.whl)"


# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" triad:train train examples/digits/config.toml
FROM python AS train
COPY --from=train-environment /opt/triad /opt/triad
ENV PATH=/opt/triad/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["triad"]
CMD ["train", "--help"]


# docker run --rm -p 8000:8000 --read-only --tmpfs /tmp triad
FROM python AS serve
# Chinese letters for the pictures of /v1/explain (7 MB).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-droid-fallback \
    && rm -rf /var/lib/apt/lists/*
COPY --from=serve-environment /opt/triad /opt/triad
ENV PATH=/opt/triad/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
# The exec form: signals reach the service, which answers what it accepted before it exits.
ENTRYPOINT ["triad"]
CMD ["serve", "--host", "0.0.0.0"]
